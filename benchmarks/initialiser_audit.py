"""Is half the identity a contraction metric of sparse random modules, as a public initialiser says?

The initialiser draws a sparse matrix (32 units, density 3.3 %, entries uniform in [-1, 1] times a
first multiplier, no self-weights), keeps it if the spectral radius of its absolute values is below
one, and multiplies it by a second one. Its test of the metric takes products entry by entry, so
that it passes for every matrix without self-weights. Here modules are drawn the same way, and what
is said of them is proved or refuted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    Refuted,
    Sector,
    SkewFeedback,
    certify,
)
from limitset.networks import Assembly, RateNetwork

UNITS, DENSITY = 32, 0.033
MULTIPLIERS = ((1.0, 1.0), (3.0, 1.0), (10.0, 0.2), (20.0, 0.2), (30.0, 0.2))
Matrix = Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class Audit:
    """Shares of all modules or pairs drawn with one pair of multipliers."""

    modules: int
    accepted: float
    expands: float
    worst_growth: float
    certified: float
    rate: tuple[float, float]
    pairs: int
    wrong_abscissa: tuple[float, float]
    wrong_refuted: float
    wrong_certified: float
    right_certified: float
    right_rate: tuple[float, float]


def draw(rng: np.random.Generator, first: float, second: float) -> tuple[Matrix, int]:
    """A module as the initialiser draws it, and how many draws that took."""
    for attempt in range(1, 100_000):
        weight = np.zeros((UNITS, UNITS))
        places = rng.choice(UNITS**2, round(DENSITY * UNITS**2), replace=False)
        weight.flat[places] = first * rng.uniform(-1, 1, len(places))
        np.fill_diagonal(weight, 0)
        if abs(np.linalg.eigvals(abs(weight))).max() < 1:
            return weight * second, attempt
    raise SystemExit("no module was accepted in 100,000 draws")


def fastest_growth(weight: Matrix, rng: np.random.Generator, starts: int = 10) -> float:
    """A Jacobian's largest growth in the identity metric, by ascent over slopes 0 and 1.

    Above zero, some pair of states moves apart in that metric: it is no contraction metric.
    """
    best = -np.inf
    for start in range(starts):
        slopes = np.ones(UNITS) if start == 0 else (rng.random(UNITS) < 0.5).astype(float)
        growth = -np.inf
        while True:
            driven = weight * slopes
            values, vectors = np.linalg.eigh((driven + driven.T) / 2)
            if not values[-1] > growth + 1e-12:
                break
            growth, direction = values[-1], vectors[:, -1]
            slopes = (direction * (weight.T @ direction) > 0).astype(float)
        best = max(best, growth)
    return float(best - 1)


def couple(modules: list[RateNetwork], block: Matrix, scale: Float[np.ndarray, " n"]) -> Assembly:
    """Two modules under feedback `S^-1 (B - B^T) S`; with `S = I` it is `B - B^T`."""
    skew = np.block([[np.zeros_like(block), -block.T], [block, np.zeros_like(block)]])
    return Assembly(modules, jnp.asarray(skew * scale[None, :] / scale[:, None]))


def jacobian(weights: list[Matrix], assembly: Assembly) -> Matrix:
    """All units active: one of the Jacobians that occur."""
    zero = np.zeros_like(weights[0])
    driven = np.block([[weights[0], zero], [zero, weights[1]]])
    return driven - np.eye(2 * UNITS) + np.asarray(assembly.coupling)


def audit(first: float, second: float, pairs: int, seed: int) -> Audit:
    """Draw, test, couple."""
    rng = np.random.default_rng([seed, int(first)])
    drawn = [draw(rng, first, second) for _ in range(2 * pairs)]
    weights = [weight for weight, _ in drawn]
    growth = [fastest_growth(weight, rng) for weight in weights]
    networks = [RateNetwork(jnp.asarray(w), activation="relu") for w in weights]
    own = [certify(network, theorems=(AbsoluteValue(),)) for network in networks]
    scales = [
        np.asarray(a.metric.scale)
        if isinstance(a, Certificate) and isinstance(a.metric, DiagonalMetric)
        else np.ones(UNITS)
        for a in own
    ]
    abscissas, wrong, right = [], [], []
    for i in range(0, 2 * pairs, 2):
        block = rng.normal(size=(UNITS, UNITS))
        bad = couple(networks[i : i + 2], block, np.ones(2 * UNITS))
        abscissas.append(np.linalg.eigvals(jacobian(weights[i : i + 2], bad)).real.max())
        wrong.append(certify(bad, theorems=(SkewFeedback(), Sector())))
        scale = np.concatenate(scales[i : i + 2])
        good = couple(networks[i : i + 2], block, scale)
        metric = DiagonalMetric(jnp.asarray(scale))
        right.append(certify(good, metric=metric, theorems=(SkewFeedback(),)))
    rates = [a.rate or 0.0 for a in own if isinstance(a, Certificate)]
    coupled = [a.rate or 0.0 for a in right if isinstance(a, Certificate)]
    return Audit(
        2 * pairs,
        len(drawn) / sum(count for _, count in drawn),
        float(np.mean(np.array(growth) > 0)),
        max(growth),
        len(rates) / len(own),
        (min(rates, default=np.nan), float(np.median(rates))),
        pairs,
        (float(np.median(abscissas)), max(abscissas)),
        sum(isinstance(a, Refuted) for a in wrong) / pairs,
        sum(isinstance(a, Certificate) for a in wrong) / pairs,
        len(coupled) / pairs,
        (min(coupled, default=np.nan), float(np.median(coupled))),
    )


def main() -> None:
    """Print a line for each pair of multipliers, and store all."""
    arguments = _measure.parse_arguments(__doc__)
    pairs = 1 if arguments.quick else 50
    results: dict[str, object] = {}
    for first, second in MULTIPLIERS[-1:] if arguments.quick else MULTIPLIERS:
        found = audit(first, second, pairs, seed=0)
        results[f"{first:g} then {second:g}"] = vars(found)
        print(
            f"multipliers {first:g}, {second:g}: I is refuted as a metric for "
            f"{found.expands:.0%} of {found.modules} modules (growth up to "
            f"{found.worst_growth:.2f}); certified in their own metrics {found.certified:.0%}, "
            f"rate {found.rate[0]:.3g} to median {found.rate[1]:.3g}"
        )
        print(
            f"    pairs with B - B^T: {found.wrong_refuted:.0%} refuted, "
            f"{found.wrong_certified:.0%} certified, abscissa up to {found.wrong_abscissa[1]:.2f}; "
            f"with the metric's feedback: {found.right_certified:.0%} certified, rate "
            f"{found.right_rate[0]:.3g} to median {found.right_rate[1]:.3g}"
        )
    _measure.store("initialiser_audit", arguments, results)


if __name__ == "__main__":
    main()
