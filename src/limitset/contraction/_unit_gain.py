"""Deep networks whose inputs move their last state by no more than the inputs themselves move."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.contraction._block_certificate import Norm, check_norm
from limitset.contraction._block_parametrisation import rounding_slack
from limitset.contraction._deep_parametrisation import DeepParametrisation
from limitset.contraction._gradient_block import weights_of, with_weights
from limitset.contraction._norm_bound import norm_bound
from limitset.networks import AbstractOperator, DeepNetwork, MeanPool, Stage


class UnitGain(eqx.Module):
    """A deep network in which every operator between blocks is scaled to norm 1 at most.

    With blocks that do not expand, as those of `StableGradient` in the 2-norm and of
    `RowSumConvolution` and `StableEquilibrium` in the maximum norm, differences of inputs are no
    smaller than those of the last state. A proposal that `certify_network` verifies.

    For the 2-norm, operators are divided by `norm_bound`. For the maximum norm the entries of a row
    become the signed squares of a unit vector: their magnitudes add up to 1, and small ones fade
    out as they are trained, so that units come to look at few inputs.

    **Arguments:** `inner`, free parameters of stages without an injected input, each with a start;
    `norm`, `"euclidean"` or `"maximum"`.

    **Raises:** `InputProblem` for stages that do not fit.

    >>> import jax
    >>> from limitset.contraction import (
    ...     StageParametrisation, certify_network, random_dense_block
    ... )
    >>> from limitset.networks import DenseOperator, LinearReadout
    >>> core = random_dense_block(jax.random.key(0), kind="gradient", units=3, inputs=0, leak=0.0)
    >>> stage = StageParametrisation(core, 2, DenseOperator(jnp.ones((3, 5))))
    >>> readout = LinearReadout(jnp.ones((2, 3)), jnp.zeros(2))
    >>> network = UnitGain(DeepParametrisation((stage,), readout)).explicit()
    >>> certify_network(network).euclidean_gain < 1.00001
    True
    """

    inner: DeepParametrisation
    norm: Norm = eqx.field(static=True, default="euclidean")

    def __check_init__(self) -> None:
        check_norm(self.norm)
        eqx.filter_eval_shape(UnitGain.explicit, self)

    def explicit(self) -> DeepNetwork:
        """The network that runs. Compute it once per update, outside the loops over depth."""
        network = self.inner.explicit()
        return DeepNetwork(tuple(self._bounded(s) for s in network.stages), network.readout)

    def idle(self) -> int:
        """How many of the stored numbers have no effect."""
        return self.inner.idle()

    @property
    def gain(self) -> float:
        """What the pools leave of the bound 1: `1 / window` each in the 2-norm."""
        gain = 1.0
        for stage in self.inner.stages:
            if isinstance(stage.exit, MeanPool) and self.norm == "euclidean":
                gain /= stage.exit.window
        return gain

    def _bounded(self, stage: Stage) -> Stage:
        if stage.start is None or stage.block.input_size:
            raise InputProblem(
                "a stage injects its input at each depth, whose gain is not bounded by scaling one "
                "operator; give the stage a start and its block no input operator"
            )
        if not (stage.exit is None or isinstance(stage.exit, MeanPool)):
            raise InputProblem(
                f"a stage exits by a {type(stage.exit).__name__}; use MeanPool or None"
            )
        start = unit_operator(stage.start, self.norm)
        return Stage(stage.block, stage.depth, start, stage.exit)


def unit_operator(operator: AbstractOperator, norm: Norm) -> AbstractOperator:
    """The operator scaled to norm 1 at most, as for `UnitGain`; a `MeanPool` as it is."""
    if isinstance(operator, MeanPool):
        return operator
    weights = weights_of(operator)
    # Of size 1 first: squares may overflow or vanish. Zeros stay zeros.
    largest = jax.lax.stop_gradient(jnp.abs(weights).max())
    weights = weights / jnp.where(largest > 0, largest, 1)
    if norm == "maximum":
        return with_weights(operator, _signed_squares(weights))
    bound = norm_bound(with_weights(operator, weights))
    return with_weights(operator, weights / jnp.where(largest > 0, bound, 1))


def _signed_squares(weights: Float[Array, "..."]) -> Float[Array, "..."]:
    flat = weights.reshape(weights.shape[0], -1)
    sums = jnp.square(flat).sum(1, keepdims=True) * (1 + rounding_slack(flat.dtype, flat.shape[1]))
    # Rows of zeros, or nearly, keep a sum below 1.
    least = float(jnp.finfo(weights.dtype).eps) ** 2
    return (flat * jnp.abs(flat) / jnp.maximum(sums, least)).reshape(weights.shape)
