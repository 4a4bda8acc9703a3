"""`limitset prove equilibria` and `limitset prove equilibrium`, of a stored rate network."""

from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import Evidence
from limitset.cli._answer import print_json
from limitset.cli._portrait import draw_portrait, portrait_section
from limitset.cli._progress import search_bar
from limitset.cli._prove_subject import (
    certificates_folder,
    near,
    rate_flow,
    read_state,
    require_interval,
)
from limitset.io import write_proof, write_whole
from limitset.networks import RateNetwork
from limitset.proofs import (
    AllEquilibria,
    Equilibrium,
    Refusal,
    prove_all_equilibria,
    prove_equilibrium,
)
from limitset.report import Page, Section, Table, render_page

_LABEL = Evidence.VERIFIED.label


def run_prove_equilibria(
    folder: Path, box: tuple[float, float] | None, most: int, out: Path | None, as_json: bool
) -> int:
    """Prove all equilibria of a stored flow; exit code 0 if the list is certainly complete."""
    network = rate_flow(folder)
    corners = None
    if box is not None:
        require_interval("--box", box)
        corners = (np.full(network.state_size, box[0]), np.full(network.state_size, box[1]))
    target = certificates_folder(folder, out)
    with search_bar("equilibria") as show:
        found = prove_all_equilibria(network, corners, max_boxes=most, on_progress=show)
    paths = [
        write_proof(e, network, target / f"equilibrium_{k}.json", model=folder)
        for k, e in enumerate(found.equilibria, 1)
    ]
    whole = None
    if found.complete:
        whole = target / "all_equilibria.json"
        write_proof(found, network, whole, box=corners, model=folder)
    claim = _claim(found, "in all of space" if box is None else f"in [{box[0]:g}, {box[1]:g}]^n")
    page = None if out is None else _write_page(out, folder, network, found, claim)
    if as_json:
        equilibria = [
            _record(e) | {"certificate": str(path)}
            for e, path in zip(found.equilibria, paths, strict=True)
        ]
        print_json(
            {
                "complete": found.complete,
                "count": len(equilibria),
                "evidence": _LABEL,
                "equilibria": equilibria,
                "certificate": None if whole is None else str(whole),
                "reason": None if found.refusal is None else str(found.refusal),
            }
        )
        return 0 if found.complete else 1
    print(claim)
    for e in found.equilibria:
        print(f"  {_sentence(e)}")
    count = f"{len(paths)} of single equilibria"
    print(f"certificates: {count}{' and one of the list' if whole else ''} in {target}")
    if page is not None:
        print(f"report: {page}")
    return 0 if found.complete else 1


def run_prove_equilibrium(
    folder: Path, state: str | None, weight_radius: float, out: Path | None, as_json: bool
) -> int:
    """Prove the equilibrium that Newton's method reaches; exit code 1 if it is not proved."""
    network = rate_flow(folder)
    n = network.state_size
    start = np.zeros(n) if state is None else read_state("--state", state, n)
    target = certificates_folder(folder, out)
    answer = prove_equilibrium(network, start, weight_radius=weight_radius)
    if isinstance(answer, Refusal):
        if as_json:
            print_json({"proved": None, "reason": str(answer)})
        else:
            print(f"not proved: {answer}")
        return 1
    path = write_proof(answer, network, target / "equilibrium.json", model=folder)
    if as_json:
        record = _record(answer) | {"certificate": str(path), "evidence": _LABEL}
        print_json({"proved": record, "reason": None})
    else:
        ball = f", for all weights within {weight_radius:g}" if weight_radius else ""
        print(f"exactly one equilibrium{ball} [{_LABEL}]: {_sentence(answer)}")
        print(f"certificate: {path}")
    return 0


def _claim(found: AllEquilibria, where: str) -> str:
    count = len(found.equilibria)
    noun = "equilibrium" if count == 1 else "equilibria"
    if found.complete:
        return f"exactly {count} {noun} {where} [{_LABEL}]"
    return f"at least {count} {noun} {where} [{_LABEL}]; {found.refusal}"


def _record(e: Equilibrium) -> dict[str, Any]:
    return {
        "center": e.center.tolist(),
        "radius": float(e.radius.max()),
        "uniqueness_radius": e.uniqueness_radius,
        "index": e.index,
        "stable": {"stable": True, "unstable": False}.get(e.stability),
    }


def _sentence(e: Equilibrium) -> str:
    index = "undecided" if e.index is None else f"{e.index:+d}"
    return f"{e.stability}, index {index}, radius {e.radius.max():.1e}, {near(e.center)}"


def _write_page(
    out: Path, folder: Path, network: RateNetwork, found: AllEquilibria, claim: str
) -> Path:
    """Write `equilibria.html`, whole or not at all; returns its path."""
    rows = tuple(
        (
            near(e.center),
            f"{e.radius.max():.1e}",
            f"{e.uniqueness_radius:.1e}",
            e.stability.value,
            "undecided" if e.index is None else f"{e.index:+d}",
        )
        for e in found.equilibria
    )
    figures = draw_portrait(network, found.equilibria, ())
    searched = f"{found.boxes} boxes in {found.dimension} dimensions, {found.seconds:.1f} s."
    sections = [Section("Proved [verified]", (_READ, searched), (), Table(_COLUMNS, rows))]
    page = Page(
        f"Equilibria of {folder.name}",
        f"{claim[0].upper()}{claim[1:]}.",
        (*portrait_section(figures), *sections),
        f"Made by limitset prove equilibria {folder.name}.",
    )
    path = out / "equilibria.html"
    write_whole(path, render_page(page).encode())
    return path


_COLUMNS = ("state", "radius", "no other within", "stability", "index")
_READ = (
    "Within the radius of each stored center there is exactly one equilibrium, and no other within "
    "the distance of the third column (0: nothing is known beyond the radius). The index is the "
    "sign of det(-J); over all of space the indices add up to 1."
)
