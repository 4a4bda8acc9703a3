"""`limitset prove hopf`: Hopf points of a stored rate network in a parameter."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limitset._result import Evidence, InputProblem
from limitset.analysis import HopfCandidate, find_equilibria, find_hopf_points
from limitset.cli._answer import print_json
from limitset.cli._progress import proving_bar
from limitset.cli._prove_page import branch_figures, spectrum_figures, write_hopf_page
from limitset.cli._prove_subject import (
    FAMILIES,
    bounds,
    certificates_folder,
    enclosure,
    rate_flow,
    require_interval,
)
from limitset.io import write_proof
from limitset.networks import (
    TANH,
    Form,
    RateFamily,
    RateNetwork,
    widened,
)
from limitset.proofs import (
    AllPureHopf,
    HopfPoint,
    Reason,
    Refusal,
    prove_all_hopf,
    prove_hopf,
    refine_hopf,
)

Records = list[dict[str, Any]]


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
    if parameter not in FAMILIES:
        raise InputProblem(f"--parameter {parameter!r} is not known; use {' or '.join(FAMILIES)}")
    network = rate_flow(folder)
    if interval is not None:
        require_interval("--range", interval)
    pure = parameter == "shift" and _is_pure(network)
    if interval is None and not pure:
        raise InputProblem(
            "--range is missing; give LOW HIGH, between which the parameter is searched"
        )
    target = certificates_folder(folder, out)
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
        "parameter": bounds(proved.parameter[k]),
        "frequency": bounds(proved.frequency[k]),
        "lyapunov_coefficient": bounds(proved.coefficient[k]),
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
    stored = FAMILIES[parameter](network)
    family = widened(stored)
    starts = find_equilibria(family, interval[0], family.state_size)
    proved, points, undecided = [], [], []
    candidates = find_hopf_points(family, list(starts), interval)
    with proving_bar("Hopf points", len(candidates)) as proceed:
        answers = [_proved(family, candidate, proceed) for candidate in candidates]
    for candidate, answer in zip(candidates, answers, strict=True):
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


def _proved(
    family: RateFamily, candidate: HopfCandidate, proceed: Callable[[], None]
) -> HopfPoint | Refusal:
    """In float64; in Arb where float64 leaves a sign open, or two pairs together."""
    place = candidate.parameter, candidate.frequency, candidate.state, candidate.vector
    answer = prove_hopf(family, *place)
    if isinstance(answer, Refusal) and answer.reason in _FINE and len(candidate.state) <= _MOST:
        answer = refine_hopf(family, *place)
    proceed()
    return answer


_FINE = (
    Reason.LYAPUNOV_SIGN_UNDECIDED,
    Reason.TRANSVERSALITY_UNDECIDED,
    Reason.SPECTRUM_NOT_SEPARATED,
)
# Units; the work in Arb takes about a second for 30, and grows with the cube.
_MOST = 50


def _record(point: HopfPoint) -> dict[str, Any]:
    return {
        "parameter": bounds(point.parameter),
        "frequency": bounds(point.frequency),
        "lyapunov_coefficient": bounds(point.lyapunov_coefficient),
        "unstable": point.unstable,
        "cycles": "above" if point.cycles_above else "below",
        "stable": point.cycles_are_stable,
        "evidence": Evidence.VERIFIED.label,
    }


def _sentence(parameter: str, point: dict[str, Any]) -> str:
    stable = "stable" if point["stable"] else "not stable"
    names = ("parameter", "frequency", "lyapunov_coefficient")
    a, frequency, l1 = (enclosure(point[name]) for name in names)
    return (
        f"{parameter} = {a}, frequency {frequency}, l1 = {l1}, {point['unstable']} unstable: "
        f"cycles {point['cycles']}, {stable}"
    )
