"""The page of `limitset prove hopf --out`: where Hopf points lie, and what was proved of them."""

from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import InputProblem
from limitset.analysis import continue_equilibria, find_equilibria
from limitset.io import write_whole
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import Ball, HopfPoint, Refusal, enclose_spectrum
from limitset.report import Page, Section, Table, draw_branch, draw_spectrum, render_page

Records = list[dict[str, Any]]


def branch_figures(
    family: RateFamily, interval: tuple[float, float], points: list[HopfPoint], name: str
) -> tuple[str, ...]:
    """One figure for each branch of equilibria that starts at the low end of the interval."""
    marks = np.array(
        [[float(p.parameter.mid), float(np.linalg.norm(p.state.mid))] for p in points]
    ).reshape(-1, 2)
    figures = []
    for start in find_equilibria(family, interval[0], family.state_size):
        try:
            branch = continue_equilibria(family, start, interval)
        except InputProblem:
            # A guess that Newton's method does not confirm has no branch.
            continue
        stable = np.asarray((np.real(branch.eigenvalues) < 0).all(1))
        figures.append(
            draw_branch(branch.parameters, branch.states, stable, {"Hopf points": marks}, name)
        )
    return tuple(figures)


def spectrum_figures(network: RateNetwork) -> tuple[str, ...]:
    """The eigenvalues of the weights with their discs, where they are enclosed."""
    spectrum = enclose_spectrum(Ball.exact(np.asarray(network.weight, np.float64)))
    if isinstance(spectrum, Refusal):
        return ()
    return (draw_spectrum(spectrum.centres, spectrum.radii, "eigenvalues of W"),)


def write_hopf_page(
    out: Path,
    model: Path,
    name: str,
    points: Records,
    undecided: Records,
    figures: tuple[str, ...],
    remark: str,
) -> Path:
    """Write `hopf.html`, whole or not at all; returns its path."""
    rows = tuple(
        (
            f"{sum(p['parameter']) / 2:.9g}",
            f"{sum(p['frequency']) / 2:.9g}",
            f"{sum(p['lyapunov_coefficient']) / 2:.6g}",
            str(p["unstable"]),
            p["cycles"],
            "yes" if p["stable"] else "no",
        )
        for p in points
    )
    sections = [
        Section("Where they are", (f"{remark.capitalize()}.",), figures),
        Section("Proved [verified]", _READ, (), Table((name, *_COLUMNS), rows)),
    ]
    if undecided:
        reasons = tuple((f"{u['near']:.9g}", u["reason"]) for u in undecided)
        sections.append(
            Section("Undecided", (_UNDECIDED,), (), Table((f"near {name}", "reason"), reasons))
        )
    page = Page(
        f"Hopf points of {model.name}",
        f"{len(points)} Hopf points proved in the parameter '{name}', {len(undecided)} undecided.",
        tuple(sections),
        f"Made by limitset prove hopf {model.name} --parameter {name}.",
    )
    path = out / "hopf.html"
    write_whole(path, render_page(page).encode())
    return path


_COLUMNS = ("frequency", "first Lyapunov coefficient", "unstable eigenvalues", "cycles", "attract")
_READ = (
    "Numbers are middles of proved enclosures; --json prints the enclosures. Small cycles exist "
    "above or below the parameter as stated, close to it. They attract only if the coefficient is "
    "negative and no eigenvalue is unstable.",
)
_UNDECIDED = "Nothing is claimed about these; the reason says which test stayed open."
