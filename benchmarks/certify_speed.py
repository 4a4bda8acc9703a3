"""What does a proof cost over the same number unproved, and how much of the rate does it lose?

`certify` with one theorem, metric search included, for a rate network of N units, against NumPy in
float64: all eigenvalues of the majorant (what the absolute-value theorem bounds, its best rate) and
the largest singular value (the singular-value theorem, in a given metric). One BLAS thread.
"""

from collections.abc import Callable
from dataclasses import dataclass

import _measure
import jax.numpy as jnp
import numpy as np

from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    SingularValue,
    certify,
)
from limitset.networks import RateNetwork

# Seconds that a proof may take.
TARGETS = {512: 1.0, 2048: 30.0}
BOUND = 0.9


@dataclass(frozen=True)
class Case:
    """Weights, the theorem, NumPy's computation to be timed, and the unproved bound.

    `unproved_bound` is what the verified bound is held against, given the metric's scale that
    `certify` chose: the best of any metric (absolute value), or NumPy's norm in that very metric.
    """

    name: str
    weight: np.ndarray
    theorem: AbsoluteValue | SingularValue
    unproved: Callable[[], float]
    unproved_bound: Callable[[np.ndarray], float]


def absolute_value_case(size: int) -> Case:
    """Gaussian weights whose majorant has spectral radius 0.9, the best bound of any metric."""
    weight = np.random.default_rng([0, size]).standard_normal((size, size))
    np.fill_diagonal(weight, 0.0)
    weight *= BOUND / radius(np.abs(weight))
    return Case(
        "absolute_value",
        weight,
        AbsoluteValue(),
        lambda: radius(np.abs(weight)),
        lambda scale: BOUND,
    )


def singular_value_case(size: int) -> Case:
    """Gaussian weights of norm 0.9, hidden in a random metric that the search has to find."""
    generator = np.random.default_rng([1, size])
    weight = generator.standard_normal((size, size))
    weight *= BOUND / np.linalg.norm(weight, 2)
    scale = np.exp(0.5 * generator.standard_normal(size))
    hidden = weight * scale[:, None] / scale
    return Case(
        "singular_value",
        hidden,
        SingularValue(),
        lambda: float(np.linalg.norm(hidden, 2)),
        lambda scale: float(np.linalg.norm(hidden * scale[:, None] / scale, 2)),
    )


def radius(matrix: np.ndarray) -> float:
    """Spectral radius from all eigenvalues, as one computes it with NumPy."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def measure(case: Case, repeats: int) -> dict[str, object]:
    """Print and return the figures of one case."""
    size = len(case.weight)
    network = RateNetwork(jnp.asarray(case.weight))
    answers: list[Certificate] = []

    def prove() -> None:
        answer = certify(network, theorems=(case.theorem,))
        if not isinstance(answer, Certificate):
            raise SystemExit(f"{case.name}, N = {size}: no certificate")
        answers.append(answer)

    timings = _measure.interleave(
        {"certify": prove, "numpy": case.unproved}, repeats=repeats, warm_up=int(size < 1000)
    )
    ours, theirs = timings["certify"], timings["numpy"]
    metric, rate = answers[-1].metric, answers[-1].rate or 0.0
    if not isinstance(metric, DiagonalMetric):
        raise SystemExit(f"{case.name}: the metric is not diagonal")
    unproved_rate = 1 - case.unproved_bound(np.asarray(metric.scale))
    record = {
        "certify": ours.record(),
        "numpy": theirs.record(),
        "ratio": ours.median / theirs.median,
        "verified_rate": rate,
        "unproved_rate": unproved_rate,
        "rate_lost": 1 - rate / unproved_rate,
        "target_s": TARGETS.get(size),
    }
    print(
        f"{case.name:14} N = {size:4}  certify {ours}  numpy {theirs}  "
        f"certify / numpy = {record['ratio']:.2f}"
    )
    line = (
        f"{'':14} rate {rate:.6f} verified, {unproved_rate:.6f} unproved, "
        f"a share of {record['rate_lost']:.0e} lost"
    )
    if size in TARGETS:
        line += f"; target {TARGETS[size]:g} s: {_measure.verdict(ours.median < TARGETS[size])}"
    print(line, flush=True)
    return record


def main() -> None:
    """Both theorems at all sizes."""
    arguments = _measure.parse_arguments(__doc__)
    repeats = {16: 1} if arguments.quick else {64: 9, 512: 5, 2048: 3}
    results = {}
    for size, count in repeats.items():
        for case in (absolute_value_case(size), singular_value_case(size)):
            results[f"{case.name}_{size}"] = measure(case, count)
    _measure.store("certify_speed", arguments, results)


if __name__ == "__main__":
    main()
