"""How far states from anywhere are from the trajectory of a certified map."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import State
from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric, places_of
from limitset.contraction._certificate import Certificate, require_certificate
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.proofs import Ball, ball_sum, enclose

# Squares of anything larger do not underflow.
_SMALLEST = 2.0**-500


def enclose_residuals(
    system: AbstractMap,
    initial: State,
    inputs: Float[Array, "t m"],
    states: Float[Array, "t n"],
) -> Ball:
    """`x[k] - advance(k, x[k-1], u[k])` in real arithmetic, enclosed, for any candidate `x`.

    The map is the one with the stored numbers as exact reals; so are `initial`, `inputs` and
    `states`, whoever computed them.

    **Arguments:** `system`; `initial`, the state before the first step, shape (n,); `inputs`,
    shape (t, m); `states` after each step, shape (t, n).

    **Returns:** a `Ball` of shape (t, n).

    **Raises:** `InputProblem` for states that are not finite or do not fit.
    """
    if not isinstance(system, AbstractMap):
        raise InputProblem(f"{type(system).__name__} is no map; discretise the flow first")
    if initial.shape != (system.state_size,) or inputs.shape[1:] != (system.input_size,):
        raise InputProblem(
            f"initial has shape {initial.shape} and inputs {inputs.shape}; give "
            f"({system.state_size},) and (steps, {system.input_size})"
        )
    if states.shape != (len(inputs), *initial.shape):
        raise InputProblem(
            f"states have shape {states.shape}; {len(inputs)} inputs need "
            f"({len(inputs)}, {initial.shape[0]}), one state after each step"
        )
    given = (initial, inputs, states)
    exact, start, driving, after = jax.tree.map(_widened, (system, *given))
    before = jnp.concatenate([start[None], after[:-1]])

    def residuals(x: Array, u: Array, y: Array) -> Array:
        return y - jax.vmap(exact.advance)(jnp.arange(len(u)), x, u)

    return enclose(residuals)(*(np.asarray(a) for a in (before, driving, after)))


def trajectory_error(
    certificate: Certificate, residuals: Ball, *, start: float = 0.0
) -> Float[np.ndarray, " t"]:
    """How far each state is from the trajectory, in the certificate's metric, at most.

    For a map with the factor `q`, `e[k] = q e[k-1] + |residuals[k]|_M` bounds `|x[k] - x*[k]|_M`,
    since `x[k] - x*[k] = residuals[k] + f(x[k-1]) - f(x*[k-1])`. It never exceeds
    `max(start, max |residuals|_M / (1 - q))`. All of it is rounded upward, so that with
    `enclose_residuals` it is a theorem about states that floats, in any order, came up with.

    **Hypotheses:** those of the certificate, whose metric and factor are used as they stand.

    **Arguments:** `certificate` of a map; `residuals`, shape (t, n), of `enclose_residuals` or
    `Ball.exact(...)`; `start`, a bound of the distance before the first step.

    **Returns:** one number for each step.

    **Raises:** `InputProblem` for flows, balls that are not guaranteed and sizes that do not fit.

    **Example:** `x+ = x / 2` with the state 1.25 in place of the trajectory's 1 after one step.

    >>> from limitset.contraction import certify
    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> halving = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5))
    >>> residuals = Ball.exact(np.array([[0.25], [0.0]]))
    >>> trajectory_error(certify(halving, input_bound=None), residuals).round(9).tolist()
    [0.25, 0.125]
    """
    factor = require_certificate(certificate).factor
    if factor is None:
        raise InputProblem("the certificate is about a flow; discretise it and certify the map")
    size = certificate.system.state_size
    if not isinstance(residuals, Ball):
        raise InputProblem(
            f"residuals are a {type(residuals).__name__}; give the ball of enclose_residuals"
        )
    if residuals.ndim != 2 or residuals.shape[1] != size:
        raise InputProblem(f"residuals have shape {residuals.shape}; give (steps, {size})")
    if not residuals.guaranteed:
        raise InputProblem("residuals are not guaranteed; enclose them with enclose_residuals")
    if not 0 <= start < math.inf:
        raise InputProblem(f"start is {start}; give a distance, 0 or positive and finite")
    reached = start
    bounds = []
    for norm in norms_upper(residuals, certificate.metric):
        if not norm < math.inf:
            reached = math.inf
        elif reached < math.inf:
            reached = float((Ball.exact(factor) * reached + Ball.exact(norm)).upper())
        bounds.append(reached)
    return np.array(bounds)


def newton_iterations(
    certificate: Certificate, *, lipschitz: float, residual: float, tolerance: float
) -> int:
    """How many iterations `ParallelNewton` takes at most, in exact arithmetic, however many steps.

    With the factor `q` and `h = lipschitz residual / (2 (1 - q)^2)`: the linear recurrence of an
    iteration has the factor `q` too, so the full change `d` obeys `|d|_M <= residual / (1 - q)`,
    and after a share `s` of it the residual is at most `(1 - s + s^2 h) residual`. Where
    `h <= 1/2` the full change is taken and `h` becomes at most `h^2`; elsewhere a share of at least
    `1 / (4 h)` is taken, which lowers `h` by at least `1/8`.

    **Hypotheses:** `norm=certificate.metric.norm` and `jacobian="full"`, for nothing like this
    holds for diagonals; residuals are largest values over the steps.

    **Arguments:** `lipschitz`, of the Jacobian: `|J(x) - J(y)|_M <= lipschitz |x - y|_M` for all
    states and inputs; `residual` of the first guess; `tolerance` to reach.

    **Raises:** `InputProblem` for flows and numbers that are not positive and finite.
    """
    factor = require_certificate(certificate).factor
    if factor is None:
        raise InputProblem("the certificate is about a flow; discretise it and certify the map")
    numbers = {"lipschitz": lipschitz, "residual": residual, "tolerance": tolerance}
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise InputProblem(f"{name} is {value}; give a positive, finite number")
    scale = Ball.exact(lipschitz) / (2.0 * (1.0 - Ball.exact(factor)) * (1.0 - Ball.exact(factor)))
    h, target = float((scale * residual).upper()), float((scale * tolerance).lower())
    if not target > _SMALLEST:
        raise InputProblem(f"tolerance {tolerance} is too small to count to; give a larger one")
    count = 0
    if h > max(0.5, target):
        down_to = max(0.5, target)
        count, h = math.ceil(float((8.0 * (Ball.exact(h) - down_to)).upper())), down_to
    while h > target:
        h, count = float((Ball.exact(h) * h).upper()), count + 1
    return count


def norms_upper(rows: Ball, metric: AbstractMetric) -> Float[np.ndarray, " t"]:
    """Upper bounds of the norms of all vectors in the rows, shape (t,).

    **Raises:** `InputProblem` for a metric of unknown type.
    """
    if isinstance(metric, BlockMetric | BlockMaximumMetric):
        parts = zip(metric.parts, places_of(metric.sizes), strict=True)
        norms = np.stack([norms_upper(rows[:, place], part) for part, place in parts], axis=1)
        weights = np.asarray(metric.weights, np.float64)
        if isinstance(metric, BlockMaximumMetric):
            return _upper(Ball.exact(weights) * norms).max(axis=1)
        return _root(ball_sum(Ball.exact(weights) * (Ball.exact(norms) * norms), axis=1))
    if isinstance(metric, QuadraticMetric):
        form = Ball.exact(np.asarray(metric.matrix, np.float64))
        return _root(ball_sum(rows * (rows @ form), axis=1))
    if not isinstance(metric, DiagonalMetric | SumMetric | MaximumMetric):
        raise InputProblem(
            f"the norm of {type(metric).__name__} has no upper bound here; certify in another"
        )
    weighted = abs(Ball.exact(np.asarray(metric.scale, np.float64)) * rows)
    if isinstance(metric, DiagonalMetric):
        return _root(ball_sum(weighted * weighted, axis=1))
    if isinstance(metric, SumMetric):
        return _upper(ball_sum(weighted, axis=1))
    return _upper(weighted).max(axis=1)


def _root(squares: Ball) -> Float[np.ndarray, " t"]:
    # From the upper end: the ball of a tiny square may reach below zero.
    upper = _upper(squares)
    known = np.isfinite(upper)
    roots = Ball.exact(np.where(known, upper, 0.0)).sqrt().upper()
    return np.where(known, roots, np.inf)


def _upper(numbers: Ball) -> Float[np.ndarray, "..."]:
    return np.maximum(numbers.upper(), 0.0)


def _widened(leaf: Any) -> Any:
    """Exact numbers of narrower floats as float64."""
    return leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf
