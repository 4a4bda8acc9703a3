"""Self-training of many networks at once, with the step at which each began to replicate."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.replication._reduction import Spec, as_reduction
from limitset.replication._trainers import AbstractTrainer, FullBatch

_FULL_BATCH = FullBatch()
# Weights, velocity, and the first step at which each network replicated.
_State = tuple[Array, Array, Array]


class SelfTrainingRun(eqx.Module):
    """Where self-training led.

    **Arguments:** `weights` and `velocity` at the end; `replicates_at`, the first step after which
    a network's replication error was at most the tolerance, 0 for those that came so and -1 for
    those that never were; `steps`, at which `path` holds all weights and `errors` the
    replication errors `max_i |T(theta)_i - theta_i|`, the first being 0 and the last the end.
    """

    weights: Float[Array, "count n"]
    velocity: Float[Array, "count n"]
    replicates_at: Int[Array, " count"]
    steps: Int[Array, " samples"]
    path: Float[Array, "samples count n"]
    errors: Float[Array, "samples count"]


@eqx.filter_jit
def replication_error(spec: Spec, weights: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """`max_i |T(theta)_i - theta_i|`, in the dtype of the weights; NaN where it has no value.

    >>> from limitset.replication import ParticleSpec
    >>> float(replication_error(ParticleSpec(), jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)))
    0.0
    """
    rewrite = jnp.vectorize(as_reduction(spec).rewrite, signature="(n),(n)->(n)")
    return jnp.max(jnp.abs(rewrite(weights, weights) - weights), axis=-1)


def self_train(
    spec: Spec,
    weights: Float[Array, "count n"],
    *,
    steps: int,
    method: AbstractTrainer = _FULL_BATCH,
    velocity: Float[Array, "count n"] | None = None,
    tolerance: float = 1e-5,
    every: int | None = None,
    seed: int = 0,
) -> SelfTrainingRun:
    """Networks that learn to answer their own weights, each for itself, in one batch.

    **Arguments:**

    - `spec`: of all networks; `weights`: one network a row, float32 or float64.
    - `steps`: how many, of which each is one of `method`.
    - `method`: `FullBatch(rate, momentum)`, or `RowByRow(rate)` as in 2019.
    - `velocity`: of an optimiser that goes on; a new one, zeros, if omitted.
    - `tolerance`: of the replication error, for `replicates_at`; it is measured in the dtype of the
      weights, so label what comes out with `classify`, which measures in float64.
    - `every`: steps between two samples of the path; only both ends if omitted.
    - `seed`: of what the method draws.

    **Returns:** a `SelfTrainingRun`. What diverges stays in it, as infinities and NaN.

    **Raises:** `InputProblem` for weights, steps or tolerances that do not fit.

    **Example:**

    >>> from limitset.replication import ParticleSpec, draw_particles
    >>> spec = ParticleSpec()
    >>> start = draw_particles(jax.random.key(0), spec, 5)
    >>> run = self_train(spec, start, steps=4000, every=1000)
    >>> bool((run.replicates_at > 0).all()), run.path.shape
    (True, (5, 5, 14))

    **Reference:** arXiv 2212.10078; Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """
    start = jnp.zeros_like(weights) if velocity is None else velocity
    _check(spec, weights, start, steps, tolerance)
    between = steps if every is None else every
    if isinstance(between, bool) or not isinstance(between, int) or between < 1 or steps % between:
        raise InputProblem(f"every is {every!r}; give a whole number that divides steps, {steps}")
    return _run(
        jax.random.key(seed), spec, method, weights, start, tolerance, steps // between, between
    )


def _check(
    spec: Spec,
    weights: Float[Array, "count n"],
    velocity: Float[Array, "count n"],
    steps: int,
    tolerance: float,
) -> None:
    size = as_reduction(spec).weight_count
    if weights.ndim != 2 or weights.shape[1] != size or velocity.shape != weights.shape:
        raise InputProblem(
            f"weights {weights.shape} and velocity {velocity.shape} do not fit; give one network "
            f"of {size} weights a row"
        )
    if isinstance(steps, bool) or not (isinstance(steps, int) and steps >= 1):
        raise InputProblem(f"steps is {steps!r}; give a whole number, 1 or more")
    if not (isinstance(tolerance, float | int) and 0 < tolerance < float("inf")):
        raise InputProblem(f"tolerance is {tolerance!r}; give a positive number, as 1e-5")


@eqx.filter_jit
def _run(
    key: jax.Array,
    spec: Spec,
    method: AbstractTrainer,
    weights: Float[Array, "count n"],
    velocity: Float[Array, "count n"],
    tolerance: float,
    samples: int,
    between: int,
) -> SelfTrainingRun:
    def mark(n: Array, w: Array, first: Array) -> Array:
        return jnp.where((first < 0) & (replication_error(spec, w) <= tolerance), n, first)

    def step(n: Array, state: _State) -> _State:
        w, v, first = state
        w, v = method.step(jax.random.fold_in(key, n), spec, w, v, w)
        return w, v, mark(n + 1, w, first)

    def sample(state: _State, k: Array) -> tuple[_State, tuple[Array, Array]]:
        state = jax.lax.fori_loop(k * between, (k + 1) * between, step, state)
        return state, (state[0], replication_error(spec, state[0]))

    never = jnp.full(weights.shape[:1], -1)
    begun = (weights, velocity, mark(jnp.asarray(0), weights, never))
    (w, v, first), (path, errors) = jax.lax.scan(sample, begun, jnp.arange(samples))
    return SelfTrainingRun(
        weights=w,
        velocity=v,
        replicates_at=first,
        steps=jnp.arange(samples + 1) * between,
        path=jnp.concatenate([weights[None], path]),
        errors=jnp.concatenate([replication_error(spec, weights)[None], errors]),
    )
