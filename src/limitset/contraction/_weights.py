"""What a weight parametrisation is: free values in, certified weights and their metric out."""

import abc
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem
from limitset.networks import Form


class WeightAndScale(eqx.Module):
    """Explicit recurrent weights and the diagonal metric that certifies them."""

    weight: Float[Array, "*p n n"]
    scale: Float[Array, "*p n"]


class WeightAndFactor(eqx.Module):
    """Explicit recurrent weights and a metric `M = R^T R` that certifies them.

    `factor` is R, `inverse` its inverse, which the construction has at hand. The metric is the one
    of the form (Hopfield or firing-rate) that was asked for: those of the two forms differ.
    """

    weight: Float[Array, "*p n n"]
    factor: Float[Array, "*p n n"]
    inverse: Float[Array, "*p n n"]


class AbstractWeightParametrisation(eqx.Module):
    """Free parameters whose `explicit` weights satisfy a contraction theorem for every value.

    Gradient steps, momentum, weight decay and averaging act on the free parameters, so nothing
    that training does can break the guarantee. Leading axes are stacked modules.
    """

    @abc.abstractmethod
    def explicit(
        self, limit: float, form: Form = Form.HOPFIELD
    ) -> WeightAndScale | WeightAndFactor:
        """Weights whose certified bound is `limit` (leak over largest slope, times the margin)."""

    @abc.abstractmethod
    def idle(self) -> int:
        """How many of the stored numbers have no effect."""

    @property
    @abc.abstractmethod
    def takes_negative_slopes(self) -> bool:
        """Whether activations may also have negative slopes, down to minus the largest."""


@dataclass(frozen=True)
class SparsityPattern:
    """Which weights exist. Stored apart from the weights: a weight that is 0 now is not absent.

    It is hashable, so that it may be a static field: no optimiser sees it.

    >>> import numpy as np
    >>> SparsityPattern.of(np.array([[True, False], [True, True]])).absent
    1
    """

    shape: tuple[int, ...]
    packed: bytes

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "..."]) -> "SparsityPattern":
        """The pattern of a mask, `True` where a weight exists."""
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise InputProblem(f"mask has dtype {mask.dtype}; give booleans, True for a weight")
        return cls(mask.shape, np.packbits(mask).tobytes())

    def mask(self) -> Bool[np.ndarray, "..."]:
        """The mask."""
        size = int(np.prod(self.shape))
        bits = np.unpackbits(np.frombuffer(self.packed, np.uint8), count=size)
        return bits.astype(bool).reshape(self.shape)

    @property
    def absent(self) -> int:
        """How many weights do not exist."""
        return int((~self.mask()).sum())


class FrozenWeight(AbstractWeightParametrisation):
    """Weights that gradients do not reach; the coupling trains around them.

    `explicit` is that of `weights` with its gradient stopped. Values that something else than a
    gradient changes (weight decay, averaging) are still free parameters of `weights`: certified.

    **Arguments:** `weights`, any other parametrisation.

    **Reference:** arXiv 2106.08928, the Sparse Combo Net.
    """

    weights: AbstractWeightParametrisation

    def explicit(
        self, limit: float, form: Form = Form.HOPFIELD
    ) -> WeightAndScale | WeightAndFactor:
        """The weights and the metric of `weights`."""
        return jax.lax.stop_gradient(self.weights.explicit(limit, form))

    def idle(self) -> int:
        """All of them: none is trained."""
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(self.weights, eqx.is_array)))

    @property
    def takes_negative_slopes(self) -> bool:
        """As `weights`."""
        return self.weights.takes_negative_slopes


def masked(free: Float[Array, "*p n n"], pattern: SparsityPattern | None) -> Float[Array, "*p n n"]:
    """Zeros where the pattern has no weight; gradients there are zero too."""
    return free if pattern is None else jnp.where(pattern.mask(), free, 0.0)


def check_pattern(pattern: SparsityPattern | None, free: Float[Array, "*p n n"]) -> None:
    """Raise unless the pattern has the shape of the weights."""
    if pattern is not None and pattern.shape != free.shape:
        raise InputProblem(
            f"the pattern has shape {pattern.shape} and the weights {free.shape}; give one entry "
            "for each weight"
        )


def row_and_column_sums(
    magnitude: Float[Array, "*p n n"],
    row_slack: Float[Array, "*p n"] | None,
    column_slack: Float[Array, "*p n"] | None,
) -> tuple[Float[Array, "*p n"], Float[Array, "*p n"]]:
    """What Schur's test divides by: at least the sums of each row and column, never 0."""
    rows, columns = magnitude.sum(-1), magnitude.sum(-2)
    rows = rows if row_slack is None else rows + row_slack**2
    columns = columns if column_slack is None else columns + column_slack**2
    # An empty row or column has nothing to normalise; 1 keeps its gradient finite.
    return jnp.where(rows > 0, rows, 1.0), jnp.where(columns > 0, columns, 1.0)
