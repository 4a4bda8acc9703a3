"""Fixed points of class B: replicators whose weights are a linear function of their places."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from limitset._result import Evidence, InputProblem
from limitset.replication._linear_theory import answer, kappa_gradient, read_weights
from limitset.replication._particle_spec import QUESTION, ParticleSpec

_STEPS = 80
_TOLERANCE = 1e-10
_TINY = 1e-14


@dataclass(frozen=True)
class PositionalReplicators:
    """Replicators `theta = Pi a`, as Newton's method found them; there may be others.

    **Arguments:** `coefficients` `a`; `weights`; `kappa_0` of each; `residuals`, the largest
    `|T(theta) - theta|` among the weights; `hits`, how many starts ended there, 0 for those that
    were found as multiples of others. Sorted by the length of `a`.
    """

    coefficients: Float[np.ndarray, "k 3"]
    weights: Float[np.ndarray, "k n"]
    kappa_0: Float[np.ndarray, " k"]
    residuals: Float[np.ndarray, " k"]
    hits: Int[np.ndarray, " k"]
    evidence: ClassVar[Evidence] = Evidence.FLOAT64


def find_positional_replicators(
    spec: ParticleSpec, *, starts: int = 2000, spread: float = 2.0, seed: int = 0
) -> PositionalReplicators:
    """Nonzero replicators of class B, by Newton's method in three unknowns from random starts.

    A fixed point with `kappa_0 != 1` is `theta = Pi a` with `(1 - kappa_0) a = kappa_{1:3}`. With
    each of them its multiples `s theta` are looked at, for the real roots of `kappa_0 s^(L-1) +
    s^(L-2) + ... + 1`, which are replicators too.

    **Arguments:** `spec`, with linear particles; `starts`, drawn normal with the deviation `spread`
    from `seed`.

    **Returns:** what was found, in float64: nothing says that it is all.

    **Raises:** `InputProblem` for particles that are not linear, places that do not span three
    dimensions, and numbers that are not positive.

    **Example:**

    >>> found = find_positional_replicators(ParticleSpec(), starts=200)
    >>> bool(len(found.weights) > 0 and found.residuals.max() < 1e-9)
    True
    """
    read_weights(spec, np.zeros(spec.weight_count))
    if starts < 1 or not 0 < spread < np.inf:
        raise InputProblem(f"starts is {starts} and spread is {spread}; give positive numbers")
    if np.linalg.matrix_rank(spec.positions) < QUESTION - 1:
        raise InputProblem(
            f"places of widths {spec.widths} do not span three dimensions; give wider layers"
        )
    guesses = spread * np.random.default_rng(seed).standard_normal((starts, QUESTION - 1))
    found: list[np.ndarray] = []
    hits: list[int] = []
    for end in _newton(spec, guesses):
        _count(found, hits, end, 1)
    for end in [*found]:
        for scale in _multiples(spec, end):
            for polished in _newton(spec, scale * end[None]):
                _count(found, hits, polished, 0)
    order = np.argsort([np.linalg.norm(end) for end in found], kind="stable")
    coefficients = np.array(found).reshape(-1, QUESTION - 1)[order]
    weights = coefficients @ spec.positions.T
    kappa = answer(spec, weights)
    after = kappa[:, :1] * weights + kappa[:, 1:] @ spec.positions.T
    return PositionalReplicators(
        coefficients,
        weights,
        kappa[:, 0],
        np.abs(after - weights).max(axis=1),
        np.array(hits, int)[order],
    )


def _newton(spec: ParticleSpec, guesses: Float[np.ndarray, "s 3"]) -> Float[np.ndarray, "t 3"]:
    """Where damped steps end that do end, apart from 0 and from identity replicators."""
    ends, places = guesses.copy(), spec.positions
    moving = np.arange(len(ends))
    for _ in range(_STEPS):
        if not moving.size:
            break
        step = _step(spec, ends[moving])
        length = np.abs(step).max(axis=1)
        # Steps of at most length 1 keep products finite and far starts within reach.
        ends[moving] -= step / np.maximum(1.0, length)[:, None]
        moving = moving[length > _TINY * (1 + np.abs(ends[moving]).max(axis=1))]
    kappa = answer(spec, ends @ places.T)
    settled = np.abs(_step(spec, ends)).max(axis=1) < _TOLERANCE * (1 + np.abs(ends).max(axis=1))
    positional = np.abs(1 - kappa[:, 0]) > 1e-6
    return ends[settled & positional & (np.abs(ends).max(axis=1) > 1e-6)]


def _step(spec: ParticleSpec, ends: Float[np.ndarray, "s 3"]) -> Float[np.ndarray, "s 3"]:
    weights = ends @ spec.positions.T
    kappa = answer(spec, weights)
    slopes = kappa_gradient(spec, weights) @ spec.positions
    keeps = 1 - kappa[:, :1]
    value = keeps * ends - kappa[:, 1:]
    slope = (
        keeps[:, :, None] * np.eye(QUESTION - 1) - ends[:, :, None] * slopes[:, :1] - slopes[:, 1:]
    )
    # A pseudo-inverse: of thousands of starts one may lie where the slope is singular.
    return (np.linalg.pinv(slope) @ value[:, :, None])[:, :, 0]


def _multiples(spec: ParticleSpec, end: Float[np.ndarray, " 3"]) -> list[float]:
    """The real scales `s != 1` at which `s theta` replicates as well as `theta`."""
    own = float(answer(spec, spec.positions @ end)[0])
    roots = np.roots([own, *[1.0] * (spec.depth - 1)])
    return [float(root.real) for root in roots if abs(root.imag) < 1e-9 * (1 + abs(root))]


def _count(found: list[np.ndarray], hits: list[int], end: np.ndarray, weight: int) -> None:
    """One more start that ended here."""
    for k, other in enumerate(found):
        if np.abs(end - other).max() < 1e-6 * (1 + np.abs(end).max()):
            hits[k] += weight
            return
    found.append(end)
    hits.append(weight)
