"""`limitset phase MODEL`: where one network is in the phase diagram."""

import math
from pathlib import Path

from limitset._result import Evidence, InputProblem
from limitset.cli._answer import print_json
from limitset.dossier import Advice, PhasePoint, advise, phase_point
from limitset.io import load
from limitset.networks import DeepNetwork

_THEORY = f"[{Evidence.FLOAT64.label}, n -> infinity]"
_MEASURED = f"[{Evidence.FLOAT64.label}]"
_SAMPLED = f"[{Evidence.SAMPLED.label}]"


def run_phase_model(folder: Path, memory: float | None, exponents: int, as_json: bool) -> int:
    """Print where a model is; returns the exit code: 0, or 1 where the regime stays undecided."""
    system = load(folder).system
    if isinstance(system, DeepNetwork):
        raise InputProblem(f"{folder} holds a deep network, not a recurrent one; give such a model")
    point = phase_point(system, exponents=exponents)
    advice = None if memory is None else advise(point, memory)
    if as_json:
        print_json(_as_json(point, advice))
    else:
        print("\n".join(_as_text(point, advice)))
    return 1 if point.regime == "undecided" else 0


def _as_text(point: PhasePoint, advice: Advice | None) -> list[str]:
    unit = "step" if point.is_discrete else "unit of time"
    lines = [f"{point.kind}, {point.units} units, without input"]
    lines += [
        f"  {g.name:9} gain {g.gain:.4f}, bias {g.bias:+.4f} +- {g.bias_deviation:.4f}, spectral "
        f"radius {g.radius:.4f}"
        for g in point.gates
    ]
    lines += _theory_lines(point)
    where = "at the fixed point near zero" if point.rest.is_found else "at zero, no fixed point"
    lines.append(f"{where}: eigenvalues reach {point.edge:.4f} {_MEASURED}")
    lines.append(f"memory there: {_shown(point.memory_time)} {unit}s")
    lines += _exponent_lines(point, unit)
    if advice is not None:
        value = "none" if advice.value is None else f"{advice.value:.4f}"
        lines.append(
            f"for a memory of {advice.memory_time:g}: {advice.change} {value}, {advice.reason} "
            f"{_THEORY}"
        )
    return lines


def _theory_lines(point: PhasePoint) -> list[str]:
    theory = point.theory
    if theory is None:
        return ["theory: no formula for this network"]
    gain = next(gate for gate in point.gates if gate.name in ("candidate", "state"))
    stable = "1" if point.is_discrete else "0"
    lines = [
        f"random cells of these gains: eigenvalues at zero reach {theory.zero_edge:.4f}, stable "
        f"below {stable} {_THEORY}",
        f"  {gain.name} gain {gain.gain:.4f} of {_shown(theory.critical_gain)} at which zero loses "
        f"stability {_THEORY}",
    ]
    if theory.stability_number is not None:
        word = "unstable" if theory.stability_number > 1 else "stable"
        lines.append(f"  another fixed point, K = {theory.stability_number:.4f}, {word} {_THEORY}")
    if theory.slow_fraction is not None:
        lines.append(
            f"  {theory.slow_fraction:.1%} of modes slower than {point.width:g} there {_THEORY}"
        )
    return lines


def _exponent_lines(point: PhasePoint, unit: str) -> list[str]:
    found = point.spectrum
    shown = ", ".join(
        f"{value:.4f} +- {error:.4f}"
        for value, error in zip(found.exponents, found.standard_errors, strict=True)
    )
    lines = [
        f"largest exponents per {unit}: {shown} {_SAMPLED}: {point.regime}",
        f"slow modes along the trajectory: {point.slow_fraction:.1%} within {point.width:g} "
        f"{_SAMPLED}",
    ]
    if not found.converged:
        lines.append(f"  the run: {found.verdict.value}")
    return lines


def _shown(number: float) -> str:
    return f"{number:.4g}" if math.isfinite(number) else "infinitely many"


def _number(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def _as_json(point: PhasePoint, advice: Advice | None) -> dict[str, object]:
    theory = point.theory
    return {
        "kind": point.kind,
        "units": point.units,
        "time": "discrete" if point.is_discrete else "continuous",
        "gates": {
            g.name: {
                "gain": g.gain,
                "bias": g.bias,
                "bias_deviation": g.bias_deviation,
                "radius": g.radius,
            }
            for g in point.gates
        },
        "theory": None
        if theory is None
        else {
            "zero_edge": theory.zero_edge,
            "critical_gain": _number(theory.critical_gain),
            "stability_number": theory.stability_number,
            "slow_fraction": theory.slow_fraction,
            "evidence": Evidence.FLOAT64.label,
        },
        "rest": {
            "found": point.rest.is_found,
            "edge": _number(point.edge),
            "memory": _number(point.memory_time),
            "evidence": Evidence.FLOAT64.label,
        },
        "exponents": [_number(value) for value in point.spectrum.exponents],
        "standard_errors": [_number(value) for value in point.spectrum.standard_errors],
        "slow_fraction": _number(point.slow_fraction),
        "regime": point.regime,
        "evidence": Evidence.SAMPLED.label,
        "advice": None
        if advice is None
        else {
            "memory": advice.memory_time,
            "edge": advice.edge,
            "change": advice.change,
            "value": advice.value,
            "reason": advice.reason,
        },
    }
