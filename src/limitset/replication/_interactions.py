"""What one network does to another: attack, imitate, melt; noise; training towards two turns."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.replication._particle import Weights, ask, questions
from limitset.replication._particle_spec import ParticleSpec
from limitset.replication._reduction import Spec, as_reduction
from limitset.replication._self_training import Number
from limitset.replication._trainers import AbstractTrainer, FullBatch

_FULL_BATCH = FullBatch()


@eqx.filter_jit
def attack(
    spec: Spec, attacker: Float[Array, "*batch n"], victim: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    """The victim's weights after the attacker was applied to them.

    A linear particle that replicates has `kappa_{0:3} = (1, 0, 0, 0)` and changes no victim.

    >>> perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    >>> victim = jnp.linspace(-1, 1, 14)
    >>> bool((attack(ParticleSpec(), perfect, victim) == victim).all())
    True
    """
    rewrite = jnp.vectorize(as_reduction(spec).rewrite, signature="(n),(n)->(n)")
    return rewrite(attacker, victim)


def imitate(
    key: jax.Array,
    spec: Spec,
    pupil: Float[Array, "count n"],
    teacher: Float[Array, "count n"],
    *,
    steps: int | Array,
    method: AbstractTrainer = _FULL_BATCH,
) -> Float[Array, "count n"]:
    """The pupils' weights after training on their teachers' (`learn_from` in the sources).

    What is learnt is to answer the teacher's weights, not to have them. Each call is a new
    optimiser, without velocity.

    **Arguments:** `key`, for what the method draws; `spec`; `pupil` and `teacher`, one a row;
    `steps`; `method`, as in `self_train`.

    >>> pupil, teacher = jnp.ones((1, 14)) / 2, jnp.linspace(-1, 1, 14)[None]
    >>> wiser = imitate(jax.random.key(0), ParticleSpec(), pupil, teacher, steps=3000)
    >>> float(jnp.abs(attack(ParticleSpec(), wiser, teacher) - teacher).max()) < 1e-3
    True
    """

    def step(n: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        return method.step(jax.random.fold_in(key, n), spec, *state, teacher)

    return jax.lax.fori_loop(0, steps, step, (pupil, jnp.zeros_like(pupil)))[0]


def melt(
    key: jax.Array, first: Float[Array, "*batch n"], second: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    """A child of two: the second, with `floor(n / 2)` random weights from the first.

    >>> child = melt(jax.random.key(0), jnp.ones(15), jnp.zeros(15))
    >>> int(child.sum())
    7
    """
    if first.shape != second.shape:
        raise InputProblem(
            f"first {first.shape} and second {second.shape} differ; give parents of one shape"
        )
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(key, first.shape), axis=-1), axis=-1)
    return jnp.where(rank < first.shape[-1] // 2, first, second)


def add_noise(
    key: jax.Array, weights: Float[Array, "*batch n"], size: Number
) -> Float[Array, "*batch n"]:
    """Each weight plus or minus `size` times a number uniform in (0, 1), with a random sign.

    That is uniform in `(-size, size)`, not Gaussian. In float32 what is below half a unit in the
    last place of a weight is lost.

    >>> bool((jnp.abs(add_noise(jax.random.key(0), jnp.ones(9), 0.1) - 1) < 0.1).all())
    True
    """
    noise = jax.random.uniform(key, weights.shape, jnp.float64, -1.0, 1.0)
    return weights + (size * noise).astype(weights.dtype)


def secondary_training_step(
    spec: ParticleSpec,
    weights: Float[Array, "*batch n"],
    velocity: Float[Array, "*batch n"],
    *,
    rate: Number,
    momentum: Number = 0.0,
) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
    """One step towards `f(f(theta)) = theta` by way of `f(theta) = -theta`, `f` being one network.

    The loss is `mean (f(f(theta)) - theta)^2 + mean (f(theta) + theta)^2`. The first questions and
    the targets are constants; the second questions hold the first answers, and are not. For linear
    particles it leads to `kappa_{0:3} = (-1, 0, 0, 0)`.

    **Arguments:** as for `self_training_step`.

    **Returns:** weights and velocity after the step.

    >>> turned = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(jnp.array([1.0, 1.0, -1.0]))
    >>> after, _ = secondary_training_step(ParticleSpec(), turned, jnp.zeros(14), rate=0.1)
    >>> bool((after == turned).all())
    True

    **Reference:** Gabor et al., Artificial Life 28 (2022) 205-223, doi 10.1162/artl_a_00359.
    """

    def one(learning: Weights) -> Weights:
        rows = questions(spec, learning)

        def loss(w: Weights) -> Float[Array, ""]:
            first = ask(spec, w, rows)
            second = ask(spec, w, rows.at[:, 0].set(first))
            return jnp.mean((second - learning) ** 2) + jnp.mean((first + learning) ** 2)

        return jax.grad(loss)(learning)

    faster = momentum * velocity + jnp.vectorize(one, signature="(n)->(n)")(weights)
    return weights - rate * faster, faster
