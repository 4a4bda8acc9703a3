"""How networks take training steps: all rows at once, or one after the other."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.replication._particle import Weights
from limitset.replication._reduction import Spec, as_reduction
from limitset.replication._self_training import Number, check_descent, imitation_gradient


class AbstractTrainer(eqx.Module):
    """A training step of a batch of networks, each on the weights of its subject."""

    @abc.abstractmethod
    def step(
        self,
        key: jax.Array,
        spec: Spec,
        weights: Float[Array, "count n"],
        velocity: Float[Array, "count n"],
        subject: Float[Array, "count n"],
    ) -> tuple[Float[Array, "count n"], Float[Array, "count n"]]:
        """Weights and velocity after one more step; rows and targets are the subject's."""


class FullBatch(AbstractTrainer):
    """All rows in one step of gradient descent with momentum, as `self_training_step`.

    The defaults are those of the organism networks' public code; the code of the journal article
    builds its optimiser anew at each step, which is `momentum` 0.

    **Arguments:** `rate`, positive; `momentum`, 0 or more, below 1.

    **Raises:** `InputProblem` for rates and momenta that do not fit.
    """

    rate: Number = 0.004
    momentum: Number = 0.9

    def __post_init__(self) -> None:
        check_descent(self.rate, self.momentum)

    def step(
        self,
        key: jax.Array,
        spec: Spec,
        weights: Float[Array, "count n"],
        velocity: Float[Array, "count n"],
        subject: Float[Array, "count n"],
    ) -> tuple[Float[Array, "count n"], Float[Array, "count n"]]:
        """One step; nothing is random."""
        faster = self.momentum * velocity + imitation_gradient(spec, weights, subject)
        return weights - self.rate * faster, faster


class RowByRow(AbstractTrainer):
    """An epoch of updates by one row each, in random order; no momentum.

    This is what one training step was in 2019: rows and targets are those of the epoch's start,
    while the weights that answer move with each update. A network that hears its weights as one
    sample updates once.

    **Arguments:** `rate`, positive.

    **Raises:** `InputProblem` for a rate that does not fit.

    **Reference:** Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """

    rate: Number = 0.01

    def __post_init__(self) -> None:
        check_descent(self.rate, 0.0)

    def step(
        self,
        key: jax.Array,
        spec: Spec,
        weights: Float[Array, "count n"],
        velocity: Float[Array, "count n"],
        subject: Float[Array, "count n"],
    ) -> tuple[Float[Array, "count n"], Float[Array, "count n"]]:
        """One epoch; the velocity is handed back as it came."""
        reduction = as_reduction(spec)

        def one(key: jax.Array, learning: Weights, learnt: Weights) -> Weights:
            shown, wanted = reduction.lesson(learnt)
            order = jax.random.permutation(key, shown.shape[0])

            def update(w: Weights, row: tuple[Array, Array]) -> tuple[Weights, None]:
                x, y = row[0][None], row[1][None]
                slope = jax.grad(lambda v: jnp.mean((reduction.answer(v, x) - y) ** 2))(w)
                return w - self.rate * slope, None

            return jax.lax.scan(update, learning, (shown[order], wanted[order]))[0]

        keys = jax.random.split(key, weights.shape[0])
        return jax.vmap(one)(keys, weights, subject), velocity
