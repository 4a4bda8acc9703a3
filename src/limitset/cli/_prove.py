"""`limitset prove`: equilibria and Hopf points of a stored rate network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import Evidence, InputProblem
from limitset.analysis import HopfCandidate, find_equilibria, find_hopf_points
from limitset.cli._main import print_json
from limitset.cli._prove_page import branch_figures, spectrum_figures, write_hopf_page
from limitset.io import load, require_writable, write_proof
from limitset.networks import (
    TANH,
    Form,
    RateFamily,
    RateNetwork,
    gain_family,
    shift_family,
    widened,
)
from limitset.proofs import (
    AllPureHopf,
    Ball,
    HopfPoint,
    Refusal,
    prove_all_equilibria,
    prove_all_hopf,
    prove_hopf,
)

Records = list[dict[str, Any]]

_FAMILIES = {"gain": gain_family, "shift": shift_family}


def run_prove_equilibria(
    folder: Path, box: tuple[float, float] | None, most: int, out: Path | None, as_json: bool
) -> int:
    """Prove all equilibria of a stored flow; exit code 0 if the list is certainly complete."""
    network = _rate_flow(folder)
    corners = None
    if box is not None:
        _require_interval("--box", box)
        corners = (np.full(network.state_size, box[0]), np.full(network.state_size, box[1]))
    target = _certificates(folder, out)
    found = prove_all_equilibria(network, corners, max_boxes=most)
    paths = [
        write_proof(e, network, target / f"equilibrium_{k}.json", model=folder)
        for k, e in enumerate(found.equilibria, 1)
    ]
    if as_json:
        equilibria = [
            {
                "center": e.center.tolist(),
                "radius": float(e.radius.max()),
                "index": e.index,
                "stable": {"stable": True, "unstable": False}.get(e.stability),
                "certificate": str(path),
            }
            for e, path in zip(found.equilibria, paths, strict=True)
        ]
        print_json(
            {
                "complete": found.complete,
                "count": len(equilibria),
                "evidence": Evidence.VERIFIED.label,
                "equilibria": equilibria,
                "reason": None if found.refusal is None else str(found.refusal),
            }
        )
        return 0 if found.complete else 1
    where = "in all of space" if box is None else f"in [{box[0]:g}, {box[1]:g}]^n"
    label = Evidence.VERIFIED.label
    noun = "equilibrium" if len(found.equilibria) == 1 else "equilibria"
    if found.complete:
        print(f"exactly {len(found.equilibria)} {noun} {where} [{label}]")
    else:
        print(f"at least {len(found.equilibria)} {noun} {where} [{label}]; {found.refusal}")
    for e in found.equilibria:
        index = "undecided" if e.index is None else f"{e.index:+d}"
        state = " ".join(f"{value:.6g}" for value in e.center[:8])
        rest = " ..." if len(e.center) > 8 else ""
        print(f"  {e.stability}, index {index}, radius {e.radius.max():.1e}, near ({state}{rest})")
    if paths:
        print(f"certificates: {len(paths)} of single equilibria in {target}")
    return 0 if found.complete else 1


@dataclass(frozen=True)
class _Findings:
    """What a search for Hopf points gave: records for JSON, and how to draw the page's figures."""

    points: Records
    undecided: Records
    remark: str
    draw: Callable[[], tuple[str, ...]]


def run_prove_hopf(
    folder: Path,
    parameter: str,
    interval: tuple[float, float] | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Find Hopf points of a family and prove them; exit code 0 if all that was found is proved."""
    if parameter not in _FAMILIES:
        raise InputProblem(f"--parameter {parameter!r} is not known; use {' or '.join(_FAMILIES)}")
    network = _rate_flow(folder)
    if interval is not None:
        _require_interval("--range", interval)
    pure = parameter == "shift" and _is_pure(network)
    if interval is None and not pure:
        raise InputProblem(
            "--range is missing; give LOW HIGH, between which the parameter is searched"
        )
    target = _certificates(folder, out)
    if pure or interval is None:
        found = _all_of_pure_class(network, interval, folder, target)
    else:
        found = _searched(network, parameter, interval, folder, target)
    page = None
    if out is not None:
        page = write_hopf_page(
            out, folder, parameter, found.points, found.undecided, found.draw(), found.remark
        )
    if as_json:
        remarks = {"undecided": found.undecided, "remark": found.remark}
        print_json({"proved": found.points} | remarks)
    else:
        _tell_hopf(parameter, found, target, page)
    return 0 if not found.undecided else 1


def _tell_hopf(parameter: str, found: _Findings, target: Path, page: Path | None) -> None:
    count, open_count = len(found.points), len(found.undecided)
    label = Evidence.VERIFIED.label
    print(f"{count} Hopf points proved [{label}], {open_count} undecided; {found.remark}")
    for point in found.points:
        print(f"  {_sentence(parameter, point)}")
    for entry in found.undecided:
        print(f"  undecided near {parameter} = {entry['near']:.9g}: {entry['reason']}")
    files = {point["certificate"] for point in found.points} - {None}
    if files:
        print(f"certificates: {len(files)} in {target}")
    if page is not None:
        print(f"report: {page}")


def _certificates(folder: Path, out: Path | None) -> Path:
    """Where certificates go: beside the model, or where the user wants them."""
    target = folder / "certificates" if out is None else out
    require_writable(target)
    return target


def _require_interval(option: str, given: tuple[float, float]) -> None:
    if not -math.inf < given[0] < given[1] < math.inf:
        raise InputProblem(
            f"{option} is {given[0]:g} {given[1]:g}; give two finite numbers LOW < HIGH"
        )


def _rate_flow(folder: Path) -> RateNetwork:
    system = load(folder).system
    if not isinstance(system, RateNetwork):
        raise InputProblem(
            f"{folder} holds {type(system).__name__}; this proof is for kind 'rate' without a "
            "discretisation"
        )
    return system


def _is_pure(network: RateNetwork) -> bool:
    """Whether it is `x' = tanh(W x + b)` up to the scale of time."""
    firing = network.form is Form.FIRING_RATE and network.activation == TANH
    return firing and float(network.leak) == 0 and float(network.time_constant) == 1


def _all_of_pure_class(
    network: RateNetwork, interval: tuple[float, float] | None, folder: Path, target: Path
) -> _Findings:
    """Every Hopf point over all parameters, or those whose balls meet the interval."""
    draw = partial(spectrum_figures, network)
    answer = prove_all_hopf(np.asarray(network.weight, np.float64))
    if isinstance(answer, Refusal):
        open_pairs = [{"near": 0.0, "reason": str(answer)}]
        return _Findings([], open_pairs, "nothing is known of the others", draw)
    path = None
    if answer.complete and len(answer.proved):
        path = str(write_proof(answer, network, target / "all_hopf.json", model=folder))
    low, high = interval or (-math.inf, math.inf)
    points = []
    for k in range(len(answer.proved)):
        a = answer.proved.parameter[k]
        if bool(a.upper() >= low) and bool(a.lower() <= high):
            points.append(_pure_record(answer, k) | {"certificate": path})
    undecided = [
        {"near": entry.near_parameter, "reason": str(entry.refusal)}
        for entry in answer.undecided
        if low <= entry.near_parameter <= high
    ]
    remark = "there are certainly no others" if answer.complete else "others may exist"
    return _Findings(points, undecided, remark, draw)


def _pure_record(answer: AllPureHopf, k: int) -> dict[str, Any]:
    proved = answer.proved
    return {
        "parameter": _bounds(proved.parameter[k]),
        "frequency": _bounds(proved.frequency[k]),
        "lyapunov_coefficient": _bounds(proved.coefficient[k]),
        "unstable": int(proved.unstable[k]),
        "cycles": "above" if proved.supercritical[k] else "below",
        "stable": bool(proved.stable[k]),
        "evidence": Evidence.VERIFIED.label,
    }


def _searched(
    network: RateNetwork,
    parameter: str,
    interval: tuple[float, float],
    folder: Path,
    target: Path,
) -> _Findings:
    """Candidates on the branches from all equilibria that are found at the low end, proved."""
    stored = _FAMILIES[parameter](network)
    family = widened(stored)
    starts = find_equilibria(family, interval[0], family.state_size)
    proved, points, undecided = [], [], []
    for candidate in find_hopf_points(family, list(starts), interval):
        answer = _proved(family, candidate)
        if isinstance(answer, Refusal):
            undecided.append({"near": candidate.parameter, "reason": str(answer)})
            continue
        proved.append(answer)
        name = f"hopf_{parameter}_{len(proved)}.json"
        path = write_proof(answer, stored, target / name, model=folder)
        points.append(_record(answer) | {"certificate": str(path)})
    draw = partial(branch_figures, family, interval, proved, parameter)
    remark = "the search is in floats and may miss points"
    return _Findings(points, undecided, remark, draw)


def _proved(family: RateFamily, candidate: HopfCandidate) -> HopfPoint | Refusal:
    return prove_hopf(
        family, candidate.parameter, candidate.frequency, candidate.state, candidate.vector
    )


def _record(point: HopfPoint) -> dict[str, Any]:
    return {
        "parameter": _bounds(point.parameter),
        "frequency": _bounds(point.frequency),
        "lyapunov_coefficient": _bounds(point.lyapunov_coefficient),
        "unstable": point.unstable,
        "cycles": "above" if point.cycles_above else "below",
        "stable": point.cycles_are_stable,
        "evidence": Evidence.VERIFIED.label,
    }


def _bounds(ball: Ball) -> list[float]:
    return [float(ball.lower()), float(ball.upper())]


def _sentence(parameter: str, point: dict[str, Any]) -> str:
    stable = "stable" if point["stable"] else "not stable"
    names = ("parameter", "frequency", "lyapunov_coefficient")
    a, frequency, l1 = (_enclosure(point[name]) for name in names)
    return (
        f"{parameter} = {a}, frequency {frequency}, l1 = {l1}, {point['unstable']} unstable: "
        f"cycles {point['cycles']}, {stable}"
    )


def _enclosure(bounds: list[float]) -> str:
    """A rounded middle, and a radius around it, rounded up, that covers both ends."""
    with localcontext(prec=60):
        low, high = map(Decimal, bounds)
        middle = (low + high) / 2
        width = max(high - middle, abs(middle) * Decimal("1e-16"), Decimal("1e-18"))
        shown = middle.quantize(Decimal(1).scaleb(width.adjusted()))
        radius = max(high - shown, shown - low)
        return f"{shown:f} +- {Context(prec=1, rounding=ROUND_CEILING).plus(radius):.0e}"
