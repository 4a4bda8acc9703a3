"""Cores without a certificate, for comparison under the same training loop."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._system import AbstractMap
from limitset.contraction import AbstractParametrisation
from limitset.dynamics import ExplicitEuler
from limitset.networks import GRU, LSTM, LipschitzNetwork, blend, random_gru, random_lstm
from limitset.training._core import AbstractCore, check_least, check_positive, check_units


class FreeCell(AbstractParametrisation):
    """A cell whose weights are trained as they are; it promises nothing."""

    cell: LSTM | GRU

    def explicit(self) -> AbstractMap:
        """The cell itself."""
        return self.cell

    def metric(self) -> None:
        """None: free weights come with no proposal."""
        return None

    def idle(self) -> int:
        """One of two biases that are only ever added."""
        rows = self.cell.bias_hh.size
        # The new-state bias of a GRU stands behind the reset gate: it counts.
        return rows if isinstance(self.cell, LSTM) else rows - rows // 3


class LipschitzCell(AbstractParametrisation):
    """Free parameters of a Lipschitz network: two matrices before they are blended.

    **Arguments:** `linear`, `weight` (n, n); `input_weight` (n, m); `bias` (n,); `skewness`,
    `damping`.

    **Reference:** arXiv 2006.12070.
    """

    linear: Float[Array, "n n"]
    weight: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    skewness: float = eqx.field(static=True)
    damping: float = eqx.field(static=True)

    def explicit(self) -> LipschitzNetwork:
        """The network that runs."""
        linear, weight = (
            blend(free, self.skewness, self.damping) for free in (self.linear, self.weight)
        )
        return LipschitzNetwork(linear, weight, self.input_weight, self.bias)

    def metric(self) -> None:
        """None: no theorem speaks of these networks."""
        return None

    def idle(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True)
class LSTMCore(AbstractCore):
    """An LSTM of `units` hidden units, forget gates opened by a bias of `remember`."""

    units: int = 64
    remember: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, units=1)
        check_units(self.units)

    @property
    def name(self) -> str:
        """`"lstm"`."""
        return "lstm"

    @property
    def scheme(self) -> None:
        """None: it is a map."""
        return None

    def build(self, key: Key[Array, ""], inputs: int) -> FreeCell:
        """PyTorch's initial weights, with the forget gates' bias."""
        drawn = jax.tree.map(lambda a: a.astype(jnp.float32), random_lstm(key, self.units, inputs))
        forget = slice(self.units, 2 * self.units)
        bias = jnp.zeros_like(drawn.bias_ih).at[forget].set(self.remember)
        biases = (bias, jnp.zeros_like(bias))
        return FreeCell(eqx.tree_at(lambda c: (c.bias_ih, c.bias_hh), drawn, biases))


@dataclass(frozen=True)
class GRUCore(AbstractCore):
    """A GRU of `units` hidden units."""

    units: int = 64

    def __post_init__(self) -> None:
        check_least(self, units=1)
        check_units(self.units)

    @property
    def name(self) -> str:
        """`"gru"`."""
        return "gru"

    @property
    def scheme(self) -> None:
        """None: it is a map."""
        return None

    def build(self, key: Key[Array, ""], inputs: int) -> FreeCell:
        """PyTorch's initial weights."""
        drawn = random_gru(key, self.units, inputs)
        return FreeCell(jax.tree.map(lambda a: a.astype(jnp.float32), drawn))


@dataclass(frozen=True)
class LipschitzCore(AbstractCore):
    """A Lipschitz network of `units` units under explicit Euler steps of `step`.

    `gain` is the spread of its matrices, `skewness` and `damping` blend them.
    """

    units: int = 96
    step: float = 0.1
    gain: float = 0.3
    skewness: float = 0.75
    damping: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, units=1, damping=0.0, skewness=0.0)
        check_positive(self, "step", "gain")
        check_units(self.units)

    @property
    def name(self) -> str:
        """`"lipschitz"`."""
        return "lipschitz"

    @property
    def scheme(self) -> ExplicitEuler:
        """Explicit Euler steps."""
        return ExplicitEuler(self.step)

    def build(self, key: Key[Array, ""], inputs: int) -> LipschitzCell:
        """Gaussian matrices."""
        first, second, third = jax.random.split(key, 3)
        spread = self.gain / self.units**0.5
        linear, weight = (
            spread * jax.random.normal(k, (self.units, self.units), jnp.float32)
            for k in (first, second)
        )
        entering = jax.random.normal(third, (self.units, inputs), jnp.float32)
        return LipschitzCell(
            linear,
            weight,
            entering,
            jnp.zeros(self.units, jnp.float32),
            self.skewness,
            self.damping,
        )
