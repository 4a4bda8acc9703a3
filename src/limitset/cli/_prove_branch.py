"""`limitset prove branch`: a branch of equilibria, with exact counts of what happens on it."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from limitset._result import Evidence, InputProblem
from limitset.analysis import find_equilibria
from limitset.cli._answer import print_json
from limitset.cli._prove_subject import (
    FAMILIES,
    bounds,
    certificates_folder,
    enclosure,
    near,
    rate_flow,
    read_state,
    require_interval,
)
from limitset.dynamics import BiasFamily
from limitset.io import write_proof, write_whole
from limitset.networks import RateFamily, widened
from limitset.proofs import EventKind, ProvedBranch, Refusal, prove_branch
from limitset.report import Page, Section, Table, draw_branch, render_page

_LABEL = Evidence.VERIFIED.label


def run_prove_branch(
    folder: Path,
    parameter: str,
    interval: tuple[float, float],
    state: str | None,
    step: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Prove the branch that starts near a state; exit code 0 if all on it is decided."""
    if parameter not in FAMILIES:
        raise InputProblem(f"--parameter {parameter!r} is not known; use {' or '.join(FAMILIES)}")
    require_interval("--range", interval)
    network = rate_flow(folder)
    stored = FAMILIES[parameter](network)
    family, n = widened(stored), network.state_size
    start = _start(family, interval[0]) if state is None else read_state("--state", state, n)
    target = certificates_folder(folder, out)
    branch = prove_branch(family, start, interval, step=step)
    if isinstance(branch, Refusal):
        if as_json:
            print_json({"proved": None, "reason": str(branch)})
        else:
            print(f"not proved: {branch}")
        return 1
    path = None
    if branch.complete:
        path = target / f"branch_{parameter}.json"
        write_proof(branch, stored, path, model=folder)
    page = None if out is None else _write_page(out, folder, parameter, branch)
    if as_json:
        print_json({"proved": _record(branch, path), "reason": None})
        return 0 if branch.complete else 1
    print(_claim(branch, parameter))
    for event in branch.events:
        frequency = f", frequency {enclosure(bounds(event.frequency))}"
        print(
            f"  {event.kind} at {parameter} = {enclosure(bounds(event.parameter))}"
            f"{frequency if event.kind is EventKind.HOPF else ''}, unstable eigenvalues "
            f"{event.unstable[0]} -> {event.unstable[1]}"
        )
    for piece in branch.undecided:
        print(f"  undecided at {parameter} = {enclosure(bounds(piece.parameter))}: {piece.refusal}")
    if path is not None:
        print(f"certificate: {path}")
    if page is not None:
        print(f"report: {page}")
    return 0 if branch.complete else 1


def _start(family: RateFamily | BiasFamily, low: float) -> Float[np.ndarray, " n"]:
    """An equilibrium that is found at the low end: the one nearest to 0."""
    found = find_equilibria(family, low, family.state_size)
    if not len(found):
        raise InputProblem(
            f"no equilibrium was found at {low:g}; give a state near one with --state"
        )
    return found[np.abs(found).max(1).argmin()]


def _claim(branch: ProvedBranch, parameter: str) -> str:
    low, high = branch.interval
    curve = "the origin" if branch.at_origin else "one smooth curve of equilibria"
    where = f"{curve}, {parameter} in [{low:g}, {high:g}], {len(branch.segments)} pieces"
    counts = [_counted(sum(e.kind is kind for e in branch.events), kind) for kind in EventKind]
    if branch.complete:
        return f"exactly {counts[0]}, {counts[1]} and {counts[2]} on {where} [{_LABEL}]"
    return (
        f"at least {counts[0]}, {counts[1]} and {counts[2]} on {where} [{_LABEL}]; "
        f"{len(branch.undecided)} pieces are undecided"
    )


_NAMES = {
    EventKind.HOPF: "Hopf point",
    EventKind.FOLD: "fold",
    EventKind.PITCHFORK: "pitchfork",
}


def _counted(count: int, kind: EventKind) -> str:
    return f"{count} {_NAMES[kind]}{'' if count == 1 else 's'}"


def _record(branch: ProvedBranch, path: Path | None) -> dict[str, Any]:
    return {
        "complete": branch.complete,
        "interval": list(branch.interval),
        "exit": branch.exit,
        "pieces": len(branch.segments),
        "events": [
            {
                "kind": event.kind.value,
                "parameter": bounds(event.parameter),
                "frequency": bounds(event.frequency),
                "unstable": list(event.unstable),
            }
            for event in branch.events
        ],
        "undecided": [
            {"parameter": bounds(piece.parameter), "reason": str(piece.refusal)}
            for piece in branch.undecided
        ],
        "evidence": _LABEL,
        "certificate": None if path is None else str(path),
    }


def _write_page(out: Path, folder: Path, parameter: str, branch: ProvedBranch) -> Path:
    """Write `branch.html`, whole or not at all; returns its path."""
    rows = tuple(
        (
            event.kind.value,
            enclosure(bounds(event.parameter)),
            enclosure(bounds(event.frequency)) if event.kind is EventKind.HOPF else "-",
            f"{event.unstable[0]} to {event.unstable[1]}",
            near(event.state.mid),
        )
        for event in branch.events
    )
    columns = ("event", parameter, "frequency", "unstable eigenvalues", "state")
    sections = [
        Section("The branch", (_READ,), (_figure(branch, parameter),)),
        Section("On it [verified]", (), (), Table(columns, rows)),
    ]
    if branch.undecided:
        reasons = tuple(
            (enclosure(bounds(piece.parameter)), str(piece.refusal)) for piece in branch.undecided
        )
        sections.append(Section("Undecided", (), (), Table((parameter, "reason"), reasons)))
    claim = _claim(branch, parameter)
    page = Page(
        f"A branch of {folder.name}",
        f"{claim[0].upper()}{claim[1:]}.",
        tuple(sections),
        f"Made by limitset prove branch {folder.name} --parameter {parameter}.",
    )
    path = out / "branch.html"
    write_whole(path, render_page(page).encode())
    return path


_READ = (
    "Every joint of the line is a proved equilibrium, and between two joints the curve lies in the "
    "tube of its piece. Where the line is dashed an eigenvalue is unstable, or one may be."
)


def _figure(branch: ProvedBranch, parameter: str) -> str:
    joints = [branch.segments[0].first, *(segment.last for segment in branch.segments)]
    points = np.array([joint.point for joint in joints])
    stable: Bool[np.ndarray, " k"] = np.array([joint.unstable == 0 for joint in joints])
    marks = {
        f"{_NAMES[kind]}s": np.array(
            [
                [float(e.parameter.mid), float(np.linalg.norm(e.state.mid))]
                for e in branch.events
                if e.kind is kind
            ]
        ).reshape(-1, 2)
        for kind in EventKind
    }
    return draw_branch(points[:, -1], points[:, :-1], stable, marks, parameter, Evidence.VERIFIED)
