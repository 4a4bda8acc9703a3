"""Self-training: a particle learns to answer its own weights, one gradient step at a time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.replication._particle import Weights, kappa
from limitset.replication._particle_spec import QUESTION, ParticleSpec
from limitset.replication._reduction import Spec, Weightwise, as_reduction

Number = float | Float[Array, ""]


@eqx.filter_jit
def imitation_gradient(
    spec: Spec, weights: Float[Array, "*batch n"], subject: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    """The gradient of `(1/n) sum_i (N_theta(row_i) - target_i)^2` by `theta`.

    Rows and targets are the subject's, and constants of the gradient even where the subject is the
    network itself. For a linear particle, with `X = [s, Pi]` and `e = X kappa_{0:3} - s`, it is
    `(2/n) (D kappa_{0:3})^T X^T e`, without rows.

    **Arguments:** `spec`; `weights`, those that learn; `subject`, those that are learnt.
    """
    reduction = as_reduction(spec)
    if isinstance(reduction, Weightwise) and reduction.spec.is_linear:
        return _linear_gradient(reduction.spec, weights, subject)

    def one(learning: Weights, learnt: Weights) -> Weights:
        shown, wanted = reduction.lesson(learnt)
        return jax.grad(lambda w: jnp.mean((reduction.answer(w, shown) - wanted) ** 2))(learning)

    return jnp.vectorize(one, signature="(n),(n)->(n)")(weights, subject)


def replication_gradient(spec: Spec, weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """`imitation_gradient` of networks that learn their own weights.

    >>> perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    >>> float(jnp.abs(replication_gradient(ParticleSpec(), perfect)).max())
    0.0
    """
    return imitation_gradient(spec, weights, weights)


def self_training_step(
    spec: Spec,
    weights: Float[Array, "*batch n"],
    velocity: Float[Array, "*batch n"],
    *,
    rate: Number,
    momentum: Number = 0.0,
) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
    """One step of gradient descent with momentum on each network's own mean squared error.

    `v+ = momentum v + g`, `theta+ = theta - rate v+`, where `g` is `replication_gradient`. The loss
    is a mean over the weights of a network, and networks do not hear of each other: with more of
    them in the batch, each moves as before.

    **Arguments:**

    - `spec`: of all networks of the batch.
    - `weights`: float32 or float64, with any number of batch axes.
    - `velocity`: of the same shape; zeros for a new optimiser.
    - `rate`: of learning; `momentum`: 0 or more, below 1.

    **Returns:** weights and velocity after the step, in the dtype of the weights.

    **Example:**

    >>> perfect = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)
    >>> after, _ = self_training_step(ParticleSpec(), perfect, jnp.zeros(14), rate=0.1)
    >>> bool((after == perfect).all())
    True

    **Reference:** arXiv 2212.10078; Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """
    faster = momentum * velocity + replication_gradient(spec, weights)
    return weights - rate * faster, faster


class SelfTraining(AbstractMap):
    """Self-training as a map: a state is the weights, then the velocity, of one network.

    Its fixed points are the networks at which the gradient vanishes, with velocity zero; those
    that replicate are among them. Without momentum the velocity is the last gradient.

    **Arguments:** `spec`; `rate`, positive; `momentum`, 0 or more, below 1.

    **Raises:** `InputProblem` for rates and momenta that do not fit.

    **Example:**

    >>> perfect = jnp.zeros(28).at[jnp.array([0, 8, 12])].set(1.0)
    >>> map_ = SelfTraining(ParticleSpec(), 0.004, 0.9)
    >>> bool((map_.advance(0, perfect, jnp.zeros(0)) == perfect).all())
    True

    **Reference:** as for `self_training_step`.
    """

    spec: Spec = eqx.field(static=True)
    rate: Number
    momentum: Number = 0.0

    def __post_init__(self) -> None:
        as_reduction(self.spec)
        check_descent(self.rate, self.momentum)

    @property
    def state_size(self) -> int:
        """The weights and their velocity."""
        return 2 * as_reduction(self.spec).weight_count

    @property
    def input_size(self) -> int:
        """None."""
        return 0

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """Weights and velocity after one more step."""
        weights, velocity = jnp.split(x, 2)
        after = self_training_step(
            self.spec, weights, velocity, rate=self.rate, momentum=self.momentum
        )
        return jnp.concatenate(after)


def check_descent(rate: Number, momentum: Number) -> None:
    """Refuse rates and momenta with which nothing descends."""
    # Arrays are numbers of a batch of runs, which only the caller can look at.
    if not isinstance(rate, jax.Array) and not (
        isinstance(rate, float | int) and 0 < rate < float("inf")
    ):
        raise InputProblem(f"rate is {rate!r}; give a positive finite number, as 0.004")
    if not isinstance(momentum, jax.Array) and not (
        isinstance(momentum, float | int) and 0 <= momentum < 1
    ):
        raise InputProblem(f"momentum is {momentum!r}; give a number from 0 to below 1")


def _linear_gradient(
    spec: ParticleSpec, weights: Float[Array, "*batch n"], subject: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    places = jnp.asarray(spec.positions, subject.dtype)
    row, pull_back = jax.vjp(lambda w: kappa(spec, w), weights)
    error = (row[..., :1] - 1) * subject + row[..., 1:QUESTION] @ places.T
    by_value = jnp.sum(subject * error, axis=-1, keepdims=True)
    unseen = jnp.zeros((*row.shape[:-1], spec.inputs - QUESTION), row.dtype)
    by_row = jnp.concatenate([by_value, error @ places, unseen], axis=-1)
    return pull_back(2 / spec.weight_count * by_row)[0]
