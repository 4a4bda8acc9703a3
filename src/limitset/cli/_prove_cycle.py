"""`limitset prove cycle`: periodic orbits of a stored rate network."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import Evidence, InputProblem
from limitset._types import State
from limitset.analysis import CycleCandidate, find_cycle, find_cycles
from limitset.cli._answer import print_json
from limitset.cli._portrait import draw_portrait, portrait_section
from limitset.cli._progress import proving_bar
from limitset.cli._prove_subject import (
    bounds,
    certificates_folder,
    enclosure,
    near,
    rate_flow,
    read_state,
)
from limitset.io import write_proof, write_whole
from limitset.networks import RateNetwork, widened
from limitset.proofs import Cycle, Refusal, prove_cycle
from limitset.report import Page, Section, Table, render_page

_LABEL = Evidence.VERIFIED.label


def run_prove_cycle(
    folder: Path,
    state: str | None,
    period: float | None,
    starts: int,
    weight_radius: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Prove the orbits that a search finds, or the one near a guess; 0 if all candidates are."""
    network = rate_flow(folder)
    if period is not None and state is None:
        raise InputProblem("--period came without --state; give both, or neither")
    target = certificates_folder(folder, out)
    candidates = _candidates(network, state, period, starts)
    proved: list[Cycle] = []
    undecided: list[dict[str, Any]] = []
    with proving_bar("cycles", len(candidates)) as proceed:
        for candidate in candidates:
            answer = prove_cycle(
                network, candidate.state, candidate.period, weight_radius=weight_radius
            )
            if isinstance(answer, Refusal):
                undecided.append({"period": candidate.period, "reason": str(answer)})
            elif not _known(answer, proved):
                proved.append(answer)
            proceed()
    paths = [
        write_proof(cycle, network, target / f"cycle_{k}.json", model=folder)
        for k, cycle in enumerate(proved, 1)
    ]
    page = None if out is None else _write_page(out, folder, network, proved, undecided)
    if as_json:
        records = [
            _record(cycle) | {"certificate": str(path)}
            for cycle, path in zip(proved, paths, strict=True)
        ]
        print_json({"proved": records, "undecided": undecided, "remark": _REMARK})
    else:
        print(f"{_summary(proved, undecided)}; {_REMARK}")
        for cycle in proved:
            print(f"  {_sentence(cycle)}")
        for entry in undecided:
            print(f"  undecided near period {entry['period']:.9g}: {entry['reason']}")
        if paths:
            print(f"certificates: {len(paths)} in {target}")
        if page is not None:
            print(f"report: {page}")
    return 0 if proved and not undecided else 1


_REMARK = "the search is in floats and may miss cycles"


def _candidates(
    network: RateNetwork, state: str | None, period: float | None, starts: int
) -> tuple[CycleCandidate, ...]:
    """The guess as it stands, the orbit that a state leads to, or those of random starts.

    Times grow with the time constant, in which the search has its units.
    """
    wide, n = widened(network), network.state_size
    none = jnp.zeros(network.input_size)

    def velocity(x: State, tau: float | Float[Array, ""]) -> State:
        return tau * wide.velocity(0.0, x, none)

    tau = float(network.time_constant)
    if state is None:
        found = find_cycles(velocity, tau, n, starts=starts)
    else:
        start = read_state("--state", state, n)
        if period is not None:
            return (CycleCandidate(period, start[None]),)
        one = find_cycle(velocity, tau, start)
        found = () if one is None else (one,)
    return tuple(CycleCandidate(tau * c.period, c.states) for c in found)


def _known(cycle: Cycle, others: list[Cycle]) -> bool:
    """Whether an orbit of this period that passes near the start is in the list already."""
    for other in others:
        apart = np.abs(cycle.states[0] - other.states).max(1).min()
        step = np.abs(other.states - np.roll(other.states, 1, 0)).max()
        gap = (cycle.period - other.period).mignitude()
        if not gap > 0 and apart <= step:
            return True
    return False


def _summary(proved: list[Cycle], undecided: list[dict[str, Any]]) -> str:
    noun = "cycle" if len(proved) == 1 else "cycles"
    return f"{len(proved)} {noun} proved [{_LABEL}], {len(undecided)} undecided"


def _record(cycle: Cycle) -> dict[str, Any]:
    return {
        "period": bounds(cycle.period),
        "state": cycle.states[0].tolist(),
        "state_radius": cycle.state_radius,
        "minimal": cycle.is_minimal,
        "stability": cycle.stability.value,
        "unstable_multipliers": cycle.outside,
        "largest_multiplier": _largest(cycle),
        "weight_radius": cycle.weight_radius,
        "evidence": _LABEL,
    }


def _largest(cycle: Cycle) -> float | None:
    """The modulus of the largest multiplier but the trivial one, in floats, to tell its size."""
    if cycle.multipliers is None or not len(cycle.multipliers):
        return None
    return float(abs(cycle.multipliers).max())


def _sentence(cycle: Cycle) -> str:
    kind = "smallest period" if cycle.is_minimal else "period"
    ball = f", for all weights within {cycle.weight_radius:g}" if cycle.weight_radius else ""
    largest = _largest(cycle)
    multiplier = "" if largest is None else f", largest multiplier near {largest:.3g}"
    return (
        f"{cycle.stability}, {kind} {enclosure(bounds(cycle.period))}{multiplier}, "
        f"{near(cycle.states[0])} within {cycle.state_radius:.1e}{ball}"
    )


def _write_page(
    out: Path,
    folder: Path,
    network: RateNetwork,
    proved: list[Cycle],
    undecided: list[dict[str, Any]],
) -> Path:
    """Write `cycle.html`, whole or not at all; returns its path."""
    rows = tuple(
        (
            enclosure(bounds(c.period)),
            "yes" if c.is_minimal else "not decided",
            c.stability.value,
            "undecided" if c.outside is None else str(c.outside),
            f"{c.state_radius:.1e}",
            str(len(c.states)),
        )
        for c in proved
    )
    sections = [
        *portrait_section(draw_portrait(network, (), proved)),
        Section("Proved [verified]", (_READ,), (), Table(_COLUMNS, rows)),
    ]
    if undecided:
        reasons = tuple((f"{u['period']:.9g}", u["reason"]) for u in undecided)
        table = Table(("near period", "reason"), reasons)
        sections.append(Section("Undecided", ("Nothing is claimed about these.",), (), table))
    page = Page(
        f"Cycles of {folder.name}",
        f"{_summary(proved, undecided)}; {_REMARK}.",
        tuple(sections),
        f"Made by limitset prove cycle {folder.name}.",
    )
    path = out / "cycle.html"
    write_whole(path, render_page(page).encode())
    return path


_COLUMNS = ("period", "smallest", "stability", "multipliers outside", "radius", "states")
_READ = (
    "Exactly one periodic orbit passes within the radius of all stored states in turn, at equal "
    "times. It is stable if all Floquet multipliers but the trivial one certainly lie inside the "
    "unit circle."
)
