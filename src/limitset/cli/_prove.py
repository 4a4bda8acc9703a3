"""`limitset prove`: equilibria and Hopf points of a stored rate network."""

import math
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import Evidence, InputProblem
from limitset.analysis import HopfCandidate, find_equilibria, find_hopf_points
from limitset.cli._main import print_json
from limitset.io import load
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

_FAMILIES = {"gain": gain_family, "shift": shift_family}


def run_prove_equilibria(
    folder: Path, box: tuple[float, float] | None, most: int, as_json: bool
) -> int:
    """Prove all equilibria of a stored flow; exit code 0 if the list is certainly complete."""
    network = _rate_flow(folder)
    corners = None
    if box is not None:
        _require_interval("--box", box)
        corners = (np.full(network.state_size, box[0]), np.full(network.state_size, box[1]))
    found = prove_all_equilibria(network, corners, max_boxes=most)
    if as_json:
        equilibria = [
            {
                "center": e.center.tolist(),
                "radius": float(e.radius.max()),
                "index": e.index,
                "stable": {"stable": True, "unstable": False}.get(e.stability),
            }
            for e in found.equilibria
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
    return 0 if found.complete else 1


def run_prove_hopf(
    folder: Path, parameter: str, interval: tuple[float, float] | None, as_json: bool
) -> int:
    """Find Hopf points of a family and prove them; exit code 0 if all that was found is proved."""
    if parameter not in _FAMILIES:
        raise InputProblem(f"--parameter {parameter!r} is not known; use {' or '.join(_FAMILIES)}")
    network = _rate_flow(folder)
    if interval is not None:
        _require_interval("--range", interval)
    if parameter == "shift" and _is_pure(network):
        points, undecided, remark = _all_of_pure_class(network, interval)
    elif interval is None:
        raise InputProblem(
            "--range is missing; give LOW HIGH, between which the parameter is searched"
        )
    else:
        points, undecided = _searched(widened(_FAMILIES[parameter](network)), interval)
        remark = "the search is in floats and may miss points"
    if as_json:
        print_json({"proved": points, "undecided": undecided, "remark": remark})
    else:
        label = Evidence.VERIFIED.label
        print(f"{len(points)} Hopf points proved [{label}], {len(undecided)} undecided; {remark}")
        for point in points:
            print(f"  {_sentence(parameter, point)}")
        for entry in undecided:
            print(f"  undecided near {parameter} = {entry['near']:.9g}: {entry['reason']}")
    return 0 if not undecided else 1


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


Records = list[dict[str, Any]]


def _all_of_pure_class(
    network: RateNetwork, interval: tuple[float, float] | None
) -> tuple[Records, Records, str]:
    """Every Hopf point over all parameters, or those whose balls meet the interval."""
    answer = prove_all_hopf(np.asarray(network.weight, np.float64))
    if isinstance(answer, Refusal):
        return [], [{"near": 0.0, "reason": str(answer)}], "nothing is known of the others"
    low, high = interval or (-math.inf, math.inf)
    points = []
    for k in range(len(answer.proved)):
        a = answer.proved.parameter[k]
        if bool(a.upper() >= low) and bool(a.lower() <= high):
            points.append(_pure_record(answer, k))
    undecided = [
        {"near": entry.near_parameter, "reason": str(entry.refusal)}
        for entry in answer.undecided
        if low <= entry.near_parameter <= high
    ]
    remark = "there are certainly no others" if answer.complete else "others may exist"
    return points, undecided, remark


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
        "certificate": None,
    }


def _searched(family: RateFamily, interval: tuple[float, float]) -> tuple[Records, Records]:
    """Candidates on the branches from all equilibria that are found at the low end."""
    starts = find_equilibria(family, interval[0], family.state_size)
    points, undecided = [], []
    for candidate in find_hopf_points(family, list(starts), interval):
        answer = _proved(family, candidate)
        if isinstance(answer, Refusal):
            undecided.append({"near": candidate.parameter, "reason": str(answer)})
        else:
            points.append(_record(answer))
    return points, undecided


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
        "certificate": None,
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
