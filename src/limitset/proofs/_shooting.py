"""Multiple shooting: the Krawczyk test for closed orbits in many short segments.

Unknowns `(x_1, ..., x_m, h)`, equations `flow_h(x_i) - x_(i+1) = 0` (cyclic) and one phase
condition `p . (x_1 - c_1) = 0`. Radii are one number for all states and one for `h`: the sup-norm
of the errors of the derivative needs no more. States are columns, as in `_taylor.py`.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._rate_field import RateField
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._taylor import TaylorStep, taylor_step
from limitset.proofs._taylor_series import bound_of, largest_of

States = Float[np.ndarray, "n m"]
Vector = Float[np.ndarray, " n"]
PerStep = Float[np.ndarray, " m"]
Square = Float[np.ndarray, "N N"]

_NEWTON_STEPS = 12
_INFLATIONS = 12
_WIDEST = 2.0**-3


@dataclass(frozen=True, eq=False)
class ClosedOrbit:
    """Exactly one closed chain of segments within the radii, subject to the phase condition.

    **Arguments:** `states` the centers, of shape `(n, m)`; `h` the center of the time between
    them; `state_radius`, `time_radius` the radii; `slopes` enclose the derivatives of the flow
    along the orbit, of shape `(n, m, n)`; `speeds` bound `|f|` at the states, of shape `(m,)`;
    `lipschitz` bounds `|J|` everywhere; `phase` is the vector `p`.
    """

    states: States
    h: float
    state_radius: float
    time_radius: float
    slopes: Ball
    speeds: PerStep
    lipschitz: float
    phase: Vector


def polish(field: RateField, states: States, h: float) -> tuple[States, float] | Refusal:
    """Newton's method on the midpoints: a candidate, not a claim."""
    n, m = states.shape
    previous = math.inf
    for _ in range(_NEWTON_STEPS):
        step = taylor_step(field, states, h)
        phase = _direction(step)
        residual = np.append(_stacked(step.end.mid - np.roll(states, -1, axis=1)), 0.0)
        try:
            change = np.linalg.solve(_matrix(step, phase), residual)
        except np.linalg.LinAlgError:
            return Refusal(Reason.JACOBIAN_SINGULAR, "A Newton step met a singular Jacobian.")
        size, scale = float(np.abs(change).max()), 1.0 + float(np.abs(states).max())
        # Far from an orbit a step would leave the region where it means anything.
        if not size < 10.0 * scale or not 0.0 < h - change[-1]:
            break
        states, h = states - change[:-1].reshape(m, n).T, float(h - change[-1])
        if size <= 1e-14 * scale or (size <= 1e-11 * scale and size >= 0.5 * previous):
            return states, h
        previous = size
    return Refusal(
        Reason.NEWTON_FAILED, "Newton's method found no closed orbit.", {"last_step": previous}
    )


def prove_closed(
    field: RateField, states: States, h: float, claimed: tuple[float, float] | None = None
) -> ClosedOrbit | Refusal:
    """The Krawczyk test `Y + Z rho < rho` on the shooting equations.

    `A` is the float inverse of the midpoint `M` of the Jacobian, and `Z = |I - A M| + |A| D` with
    the errors `D` of the Jacobian over the box. `D` times the radii is constant on each segment.

    **Arguments:** `states`, `h` the centers; `claimed` radii of states and of `h`, tested as
    they stand; without them the smallest are searched.
    """
    step = taylor_step(field, states, h)
    phase = _direction(step)
    matrix = _matrix(step, phase)
    try:
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return _singular()
    if not np.isfinite(inverse).all():
        return _singular()
    A = Ball.exact(inverse)
    flow = step.flow() - np.roll(states, -1, axis=1)
    residual = Ball(_padded(flow.mid), _padded(flow.rad))
    tests = _Tests(step, np.abs(inverse), _identity_defect(A, matrix, *states.shape), phase)
    Y = (A @ residual).magnitude()
    if not (np.isfinite(Y).all() and np.isfinite(tests.defect).all()):
        return Refusal(
            Reason.NONFINITE,
            "The segments are too long: the remainder of the Taylor step has no bound.",
            {"step": h},
        )
    rho = claimed if claimed is not None else _search(tests, Y)
    image = tests.image(Y, *rho)
    if not tests.inside(image, *rho):
        return Refusal(
            Reason.KRAWCZYK_NOT_CONTAINED,
            f"The Krawczyk image leaves the box: residual {float(Y.max()):.3g}, radius "
            f"{rho[0]:.3g}, image {float(image.max()):.3g}.",
            {"residual": float(Y.max()), "radius": rho[0], "image": float(image.max())},
        )
    # The zero is the only one within `rho`, and it lies in the image.
    state_radius, time_radius = float(image[:-1].max()), float(image[-1])
    errors, late = step.derivative_errors(np.full(states.shape[1], state_radius), time_radius)
    # An entry is off by no more than the row sum.
    spread = np.broadcast_to(errors[None, :, None], step.slope.shape)
    slopes = step.slope + Ball(np.zeros(spread.shape), spread.copy())
    # The velocity at a state is that at the end of the segment before it.
    speeds = np.roll((largest_of(bound_of(step.velocity)) + late).upper(), 1)
    return ClosedOrbit(
        states, float(h), state_radius, time_radius, slopes, speeds, step.lipschitz, phase
    )


@dataclass(frozen=True, eq=False)
class _Tests:
    """What stays the same while radii are tried."""

    step: TaylorStep
    absolute: Square
    defect: Square
    phase: Vector

    def image(self, Y: Vector, state_radius: float, time_radius: float) -> Vector:
        """Upper bounds of `Y + Z rho`; infinite where nothing is known."""
        step, (n, m) = self.step, self.step.end.shape
        wide, fast = step.derivative_errors(np.full(m, state_radius), time_radius)
        if not (np.isfinite(wide).all() and np.isfinite(fast).all()):
            return np.full(n * m + 1, math.inf)
        # The midpoint matrix leaves out the radii of what the segments enclose.
        own = ball_sum(Ball.exact(step.slope.rad), axis=2)
        rows = (own + wide) * state_radius + (Ball.exact(step.velocity.rad) + fast) * time_radius
        rho = np.append(np.full(n * m, state_radius), time_radius)
        if not np.isfinite(rows.rad).all():
            return np.full(n * m + 1, math.inf)
        spread = Ball.exact(self.absolute) @ _padded(rows.upper())
        return (Ball.exact(self.defect) @ rho + spread + Y).upper()

    def inside(self, image: Vector, state_radius: float, time_radius: float) -> bool:
        """Whether the image certainly lies within the radii."""
        return bool((image[:-1] < state_radius).all() and image[-1] < time_radius)


def _search(tests: _Tests, Y: Vector) -> tuple[float, float]:
    """Radii that probably hold; the caller tests the last ones."""
    rho = (3.0 * float(Y[:-1].max()) + 1e-30, 3.0 * float(Y[-1]) + 1e-30)
    for _ in range(_INFLATIONS):
        image = tests.image(Y, *rho)
        if tests.inside(image, *rho) or not (image < _WIDEST).all():
            return rho
        rho = (
            max(rho[0], 2.0 * float(image[:-1].max())),
            max(rho[1], 2.0 * float(image[-1])),
        )
    return rho


def _matrix(step: TaylorStep, phase: Vector) -> Square:
    """The midpoint of the Jacobian: rows and columns by segment, then the phase and `h`."""
    n, m = step.end.shape
    blocks = np.zeros((m, n, m, n))
    along = np.arange(m)
    # Added, not assigned: with one segment both stand in the same place.
    blocks[along, :, along, :] += step.slope.mid.transpose(1, 0, 2)
    blocks[along, :, (along + 1) % m, :] -= np.eye(n)
    matrix = np.zeros((n * m + 1, n * m + 1))
    matrix[:-1, :-1] = blocks.reshape(n * m, n * m)
    matrix[:-1, -1] = _stacked(step.velocity.mid)
    matrix[-1, :n] = phase
    return matrix


def _identity_defect(A: Ball, matrix: Square, n: int, m: int) -> Square:
    """Bounds of `|I - A M|`; each column of `M` meets two segments, the phase and `h` only."""
    size = n * m + 1
    defect = np.empty((size, size))
    for i in range(m):
        columns = slice(i * n, (i + 1) * n)
        before = slice(((i - 1) % m) * n, ((i - 1) % m) * n + n)
        rows = np.r_[columns, before, size - 1] if m > 1 else np.arange(size)
        product = A[:, rows] @ matrix[rows, columns]
        defect[:, columns] = (np.eye(size)[:, columns] - product).magnitude()
    defect[:, -1] = (np.eye(size)[:, -1] - A @ matrix[:, -1]).magnitude()
    return defect


def _direction(step: TaylorStep) -> Vector:
    """The velocity at the first state, normalised; any vector would do."""
    velocity = step.velocity.mid[:, -1]
    length = float(np.linalg.norm(velocity))
    return velocity / length if length > 0 else velocity


def _stacked(states: States) -> Float[np.ndarray, " nm"]:
    """Columns one after the other."""
    return states.T.reshape(-1)


def _padded(states: States) -> Float[np.ndarray, " nm1"]:
    """Columns one after the other, and 0 for the phase condition, which holds at the center."""
    return np.append(_stacked(states), 0.0)


def _singular() -> Refusal:
    return Refusal(Reason.JACOBIAN_SINGULAR, "The shooting equations have no float inverse.")
