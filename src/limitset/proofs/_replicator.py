"""Exact self-replicators near the weights of a linear particle, proved, with their spectra.

A linear particle of function `kappa = W_L ... W_1` replicates if `kappa_{0:3} = (1, 0, 0, 0)`: it
returns every value that it is asked for. These weights form a manifold of dimension `n - 4`, so a
test for isolated fixed points of self-application `T` fails at each of them. Instead four numbers
`y` are sought, `kappa_{0:3}(theta + Q y) = (1, 0, 0, 0)`, along columns of `Q` across the manifold.

At a replicator `theta`, with `G = D kappa_{0:3}` and `X = [theta, Pi]`:

- `DT = I + X G`, and `G theta = L (1, 0, 0, 0)` as `kappa` is homogeneous of degree `L`. So
  `DT theta = (1 + L) theta`: no linear particle is a stable replicator. The eigenvalues of `X G`
  are those of the block triangular `G X`, and `n - 4` zeros: beside `1 + L` there are `n - 4`
  eigenvalues 1, and those of `I + G_{1:3} Pi`.
- Gradient descent on the mean squared error of its answers, over all of its weights at once, with
  values asked and wanted held fixed, has the derivative `I - eta (2/n) G^T X^T X G`. So beside
  `n - 4` eigenvalues 1, along the manifold, it has `1 - eta mu` for the four eigenvalues `mu > 0`
  of `(2/n) G G^T X^T X`.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, frobenius_upper
from limitset.proofs._equilibrium import determinant_sign
from limitset.proofs._krawczyk import krawczyk
from limitset.proofs._linalg import NotVerified, is_positive_definite, verified_inverse
from limitset.proofs._particle_forms import (
    QUESTION,
    ParticleShape,
    Positions,
    Shapes,
    Vector,
    kappa,
    kappa_gradient,
)
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum, enclose_spectrum

_GOAL = np.array([1.0, 0.0, 0.0, 0.0])
_STEPS = 12
# What is claimed of the box without another one: room for another enclosure of the same products.
_ROOM = 0.8
# And of the distance, where enclosures of sums differ by roundings of their radii.
_SLACK = 2.0**-20
# Shares of the float eigenvalues that are left as room for a proof.
_ROOMS = (1e-11, 1e-8, 1e-4)


@dataclass(frozen=True)
class TrainingModes:
    """Bounds `slowest <= mu <= fastest` of the four eigenvalues across the manifold.

    Full-batch gradient descent with a step `eta < 2 / fastest` attracts: there is a neighbourhood
    of the replicator from which every run ends at some replicator, and errors shrink in the limit
    by `max |1 - eta mu|` a step or faster. Nothing is said of how large the neighbourhood is.
    """

    slowest: float
    fastest: float

    def factor(self, step: float) -> float | None:
        """An upper bound of `max |1 - eta mu|`; None where it is not certainly below 1.

        >>> modes = TrainingModes(0.5, 3.0)
        >>> 0.75 <= modes.factor(0.5) < 0.7501, modes.factor(0.7) is None
        (True, True)
        """
        ends = 1.0 - Ball.exact(step) * Ball.exact([self.slowest, self.fastest])
        bound = float(ends.magnitude().max())
        return bound if step > 0 and bound < 1 else None


@dataclass(frozen=True, eq=False)
class Replicator:
    """An exact self-replicator near given weights, proved.

    Exactly one `y` within `radius` of `center`, entry by entry, has `kappa_{0:3}(weights + frame y)
    = (1, 0, 0, 0)`, and no other within `uniqueness_radius` of `center` (sup-norm). That
    self-replicator is at most `distance` from the weights (Euclidean).

    Its derivative under self-application has the eigenvalue `1 + depth`: it is unstable. Exactly
    `unit_eigenvalues` others are 1, counted with multiplicity (None where that is undecided), and
    `spectrum` encloses the remaining three (None likewise); `unstable` counts all eigenvalues
    outside the unit circle. `training` says how gradient descent attracts, None where undecided.
    """

    weights: Vector
    depth: int
    frame: Float[np.ndarray, "n 4"]
    center: Float[np.ndarray, " 4"]
    radius: Float[np.ndarray, " 4"]
    uniqueness_radius: float
    distance: float
    unit_eigenvalues: int | None
    spectrum: Spectrum | None
    unstable: int | None
    training: TrainingModes | None

    @property
    def box(self) -> Ball:
        """Weights among which the self-replicator is."""
        return _along(self.weights, self.frame, Ball(self.center.copy(), self.radius.copy()))


def prove_replicator(
    weights: Vector,
    positions: Positions,
    shapes: Shapes,
    *,
    within: float = 1e-3,
) -> Replicator | Refusal:
    """Prove that an exact self-replicator lies near the weights of a linear particle.

    `kappa_{0:3}(weights + Q y) = (1, 0, 0, 0)` by Newton's method and the Krawczyk test in the
    four unknowns `y`; `Q` is the float orthonormal basis of the range of `G^T`.

    **Arguments:** `weights` of shape `(n,)`; `positions` of shape `(n, 3)`; `shapes` of the
    matrices as (rows, columns), first to last; `within` the largest distance that is accepted.

    **Returns:** the self-replicator, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> positions = np.zeros((14, 3))
    >>> perfect = np.zeros(14)
    >>> perfect[[0, 8, 12]] = 1.0
    >>> found = prove_replicator(perfect + 1e-6, positions, ((2, 4), (2, 2), (1, 2)))
    >>> found.distance < 1e-5, found.uniqueness_radius > 1e-2
    (True, True)

    **Reference:** R. Krawczyk, Computing 4, 1969; arXiv 2212.10078 for the particles.
    """
    require_sound_arithmetic()
    shape = ParticleShape(positions, shapes)
    start = Ball.exact(weights).mid
    if start.shape != (shape.size,):
        raise InputProblem(f"weights has shape {start.shape}; these matrices need ({shape.size},)")
    if not 0 < within < math.inf:
        raise InputProblem(f"within is {within}; give a positive distance, say 1e-3")
    frame = _frame(shape, start)
    center = _refined(shape, start, frame)
    if isinstance(center, Refusal):
        return center
    zero = krawczyk(
        lambda y: kappa(shape, _along(start, frame, y)) - _GOAL,
        lambda y: kappa_gradient(shape, _along(start, frame, y)) @ frame,
        center,
    )
    if isinstance(zero, Refusal):
        return zero
    moved = Ball.exact(frobenius_upper(Ball.exact(frame) @ zero.box))
    distance = float((moved * (1.0 + _SLACK)).upper())
    if not distance <= within:
        return Refusal(
            Reason.NOT_NEAR,
            f"The self-replicator found is up to {distance:.3g} away; {within:.3g} is allowed.",
            {"distance": distance, "within": float(within)},
        )
    theta, alone = _along(start, frame, zero.box), _ROOM * zero.uniqueness_radius
    return Replicator(
        start,
        shape.depth,
        frame,
        zero.center,
        zero.radius,
        alone if alone > zero.radius.max() else 0.0,
        distance,
        *_eigenvalues(shape, theta),
        training_modes(shape, theta),
    )


def _along(weights: Vector, frame: Float[np.ndarray, "n 4"], y: Ball) -> Ball:
    return Ball.exact(frame) @ y + weights


def _frame(shape: ParticleShape, weights: Vector) -> Float[np.ndarray, "n 4"]:
    """An orthonormal basis of the range of `G^T`, in floats: any matrix would do for a proof."""
    with np.errstate(all="ignore"):
        G = kappa_gradient(shape, Ball.exact(weights)).mid
        return np.linalg.qr(G.T)[0]


def _refined(
    shape: ParticleShape, weights: Vector, frame: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, " 4"] | Refusal:
    """Newton's method for the midpoints from `y = 0`: a candidate, not a claim."""
    y = np.zeros(QUESTION)
    size = math.inf
    for _ in range(_STEPS):
        theta = Ball.exact(_along(weights, frame, Ball.exact(y)).mid)
        slope, missed = kappa_gradient(shape, theta).mid @ frame, kappa(shape, theta).mid - _GOAL
        try:
            with np.errstate(all="ignore"):
                step = np.linalg.solve(slope, missed)
        except np.linalg.LinAlgError:
            return Refusal(Reason.JACOBIAN_SINGULAR, "A Newton step met a singular Jacobian.")
        previous, size = size, float(np.abs(step).max())
        if not size < 1e8:
            break
        y = y - step
        if size <= 1e-16 or (size <= 1e-12 and size >= 0.5 * previous):
            return y
    return Refusal(
        Reason.NEWTON_FAILED, "No self-replicator was found near the weights.", {"last_step": size}
    )


def _eigenvalues(
    shape: ParticleShape, theta: Ball
) -> tuple[int | None, Spectrum | None, int | None]:
    """How many are 1, the three others beside `1 + L`, and how many lie outside the circle."""
    across = kappa_gradient(shape, theta)[1:] @ shape.positions
    units = None if determinant_sign(across) is None else shape.size - QUESTION
    others = enclose_spectrum(across + np.eye(len(across)))
    if isinstance(others, Refusal):
        return units, None, None
    outside = others.count_outside(1.0)
    # `1 + L` itself is outside. A disc that touches the circle leaves all of them uncounted.
    return units, others, None if outside is None else outside + 1


def training_modes(shape: ParticleShape, theta: Ball) -> TrainingModes | None:
    """Bounds of the eigenvalues of `A B` with `A = (2/n) G G^T`, `B = X^T X`; None if not certain.

    They are real and positive where `A` and `B` are positive definite, and all of them are above
    `s` if and only if `A - s B^-1` is positive definite, below `s` if `s B^-1 - A` is.
    """
    G = kappa_gradient(shape, theta)
    X = Ball.moved(
        lambda value, places: np.concatenate([value, places], axis=1),
        theta.reshape(-1, 1),
        Ball.exact(shape.positions),
    )
    # 2/n itself may not be a float.
    A, B = (G @ G.T) * (2.0 / Ball.exact(shape.size)), X.T @ X
    if not is_positive_definite(A):
        return None
    try:
        inverse = verified_inverse(B)
        values = np.sort(np.real(np.linalg.eigvals(A.mid @ B.mid)))
    except (NotVerified, np.linalg.LinAlgError):
        return None
    if not is_positive_definite(inverse):
        return None
    for room in _ROOMS:
        low, high = float(values[0] * (1 - room)), float(values[-1] * (1 + room))
        below, above = A - inverse * low, inverse * high - A
        if low > 0 and is_positive_definite(below) and is_positive_definite(above):
            return TrainingModes(low, high)
    return None
