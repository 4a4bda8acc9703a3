"""Free parameters -> gated units and a skew coupling outside their gates: contracting, and fast."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.dynamics import AbstractScheme, Cayley, ExplicitEuler, GatedMap, discretise
from limitset.networks import (
    Activation,
    GatedAssembly,
    GatedRate,
    find_activation,
)

Pairs = tuple[tuple[int, int], ...]
# Scales stay between exp(-3) and exp(3): a larger condition number serves rounding only.
_WIDEST = 3.0


class StableGatedAssembly(AbstractParametrisation):
    """Free parameters of a map of gated units that contracts for every value they can take.

    Self-weights are `limit tanh(free)` with `limit = margin / g`, for the largest slope g. The ends
    of the gates are `fastest = floor + (1/h - floor) sigmoid(free)` and `slowest = floor +
    (fastest - floor) sigmoid(free)`: no step of size h overshoots, no unit stands still. Couplings
    are blocks between pairs of modules, skew in the metric `diag(exp(6 tanh(log_scale / 3)))`, and
    a propagator turns by them after the units' own steps, so the gates never multiply them.

    The factor is at most `1 - h floor (1 - margin)`, but for rounding, whatever the gates and the
    coupling do.

    **Arguments:** `self_weight`, `bias`, `gate_bias`, `fastest`, `slowest`, `log_scale`, shape
    (n,); `input_weight`, `gate_weight`, shape (n, m); `blocks`, shape (p, k, k), one for each of
    `pairs`, `(i, j)` with `i > j`, of modules of k units; `activation`; `scheme`, a `SemiImplicit`,
    `Cayley` or `Rotation` with its step h; `floor` in (0, 1/h); `margin` in (0, 1).

    **Reference:** arXiv 2106.08928 for the coupling.
    """

    self_weight: Float[Array, " n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    gate_weight: Float[Array, "n m"]
    gate_bias: Float[Array, " n"]
    fastest: Float[Array, " n"]
    slowest: Float[Array, " n"]
    log_scale: Float[Array, " n"]
    blocks: Float[Array, "p k k"]
    pairs: Pairs = eqx.field(static=True)
    activation: Activation = eqx.field(static=True, converter=find_activation)
    scheme: AbstractScheme = eqx.field(static=True)
    floor: float = eqx.field(static=True)
    margin: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.activation.slope_interval is None:
            raise InputProblem(
                f"activation {self.activation.name!r} has no proved slope bound; a stable gated "
                "assembly needs tanh, relu, sigmoid, softplus or identity"
            )
        if not 0 < self.margin < 1:
            raise InputProblem(f"margin is {self.margin}; give a number between 0 and 1")
        if not 0 < self.floor < 1 / self.scheme.step:
            raise InputProblem(
                f"floor is {self.floor}; give a speed above 0 and below 1 / step, which is "
                f"{1 / self.scheme.step}"
            )
        size, count = self.blocks.shape[-1], len(self.pairs)
        fits = self.blocks.shape == (count, size, size) and self.bias.size % max(size, 1) == 0
        modules = self.bias.size // max(size, 1)
        if not (fits and all(0 <= j < i < modules for i, j in self.pairs)):
            raise InputProblem(
                f"blocks {self.blocks.shape} do not couple {count} pairs (i, j), i > j, among "
                f"{self.bias.size} units; give one (k, k) block each for modules of k units"
            )
        if len(set(self.pairs)) < count:
            raise InputProblem("a pair comes twice; give each pair of modules once")

    def explicit(self) -> GatedMap:
        """The map that runs. Compute it once per update, outside any loop over time."""
        limits = self.activation.slope_interval or (0.0, 1.0)
        ceiling = 1 / self.scheme.step
        fastest = self.floor + (ceiling - self.floor) * jax.nn.sigmoid(self.fastest)
        slowest = self.floor + (fastest - self.floor) * jax.nn.sigmoid(self.slowest)
        units = GatedRate(
            self.margin / max(map(abs, limits)) * jnp.tanh(self.self_weight),
            self.input_weight,
            self.bias,
            gate_weight=self.gate_weight,
            gate_bias=self.gate_bias,
            slowest=slowest,
            fastest=fastest,
            activation=self.activation,
        )
        # Without a coupling there is nothing to split off.
        map_ = (
            discretise(GatedAssembly(units, self.coupling()), self.scheme)
            if self.pairs
            else discretise(units, ExplicitEuler(self.scheme.step))
        )
        if not isinstance(map_, GatedMap):
            raise InputProblem(
                f"scheme {type(self.scheme).__name__} makes no map of gated units; use "
                "SemiImplicit, Cayley or Rotation"
            )
        return map_

    def coupling(self) -> Float[Array, "n n"]:
        """`S^-1 (K - K^T) S`, with the blocks in K and S the scale of the metric."""
        size = self.blocks.shape[-1]
        modules = self.bias.size // size
        rows, columns = np.array(self.pairs, int).reshape(-1, 2).T
        grid = jnp.zeros((modules, size, modules, size), self.blocks.dtype)
        lower = grid.at[rows, :, columns, :].set(self.blocks).reshape((modules * size,) * 2)
        log_scale = self._log_scale()
        return (lower - lower.T) * jnp.exp(log_scale[None, :] - log_scale[:, None])

    def metric(self) -> DiagonalMetric:
        """The metric that certifies `explicit()`; a proposal that `certify` still verifies."""
        return DiagonalMetric(jnp.exp(self._log_scale().astype(jnp.float64)))

    def idle(self) -> int:
        """One: a common factor of all scales. Without couplings, all scales."""
        return 1 if self.pairs else self.log_scale.size

    def _log_scale(self) -> Float[Array, " n"]:
        return _WIDEST * jnp.tanh(self.log_scale / _WIDEST)


def gated_assembly(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    pairs: int | None = None,
    activation: str | Activation = "tanh",
    scheme: AbstractScheme | None = None,
    slowest: float = 1e-3,
    fastest: float = 0.5,
    margin: float = 0.99,
    coupling_gain: float = 0.5,
) -> StableGatedAssembly:
    """Random free parameters (float32) of a stable gated assembly with speeds of all sizes.

    A network remembers for as long as its slowest units: the speeds at which the gates start are
    spread evenly over the decades from `slowest` to `fastest`, within each module.

    **Arguments:**

    - `modules`, `units` per module, `inputs`.
    - `pairs`: how many pairs of modules are coupled, drawn at random; all of them if omitted. Few
      pairs cost few parameters, and no time.
    - `activation`; `scheme`, `Cayley(1.0)` if omitted.
    - `slowest`, `fastest`: ends of the initial speeds, as shares of a step, `0 < slowest < fastest
      < 1`. No gate ever falls below half of `slowest`.
    - `margin`: bound of the self-weights; `coupling_gain`: the coupling's spectral size, about.

    **Raises:** `InputProblem` for sizes or shares that do not fit.

    >>> import jax
    >>> core = gated_assembly(jax.random.key(0), modules=4, units=8, inputs=1, pairs=3)
    >>> core.blocks.shape, core.explicit().state_size
    ((3, 8, 8), 32)
    """
    scheme = Cayley(1.0) if scheme is None else scheme
    everyone = [(i, j) for i in range(modules) for j in range(i)]
    count = len(everyone) if pairs is None else pairs
    if min(modules, units) < 1 or inputs < 0 or not 0 <= count <= len(everyone):
        raise InputProblem(
            f"modules {modules}, units {units}, inputs {inputs}, pairs {pairs}; give at least 1, 1 "
            f"and 0, and at most {len(everyone)} pairs"
        )
    if not 0 < slowest < fastest < 1:
        raise InputProblem(
            f"slowest {slowest} and fastest {fastest} are no increasing shares of a step; give "
            "numbers between 0 and 1"
        )
    size = modules * units
    choice, *keys = jax.random.split(key, 6)
    drawn = jax.random.choice(choice, len(everyone), (count,), replace=False) if count else []
    floor = slowest / 2 / scheme.step
    # A gate spans a factor of four around its unit's speed, and starts in the middle.
    speed = np.tile(np.geomspace(slowest, fastest, units), modules)
    high = np.minimum(2 * speed, (1 + fastest) / 2)
    low = np.maximum(speed / 2, 0.51 * slowest + 0.01 * (speed - slowest))
    share = slowest / 2
    spread = (2 * max(count, 1) / max(modules, 1) * units) ** -0.5
    return StableGatedAssembly(
        self_weight=0.5 * _normal(keys[0], (size,)),
        input_weight=_normal(keys[1], (size, inputs)),
        bias=0.1 * _normal(keys[2], (size,)),
        gate_weight=0.1 * _normal(keys[3], (size, inputs)),
        gate_bias=jnp.zeros(size, jnp.float32),
        fastest=_logit((high - share) / (1 - share)),
        slowest=_logit((low - share) / (high - share)),
        log_scale=jnp.zeros(size, jnp.float32),
        blocks=coupling_gain / scheme.step * spread * _normal(keys[4], (count, units, units)),
        pairs=tuple(sorted(everyone[int(i)] for i in drawn)),
        activation=find_activation(activation),
        scheme=scheme,
        floor=floor,
        margin=margin,
    )


def _logit(share: np.ndarray) -> Float[Array, " n"]:
    return jnp.asarray(np.log(share / (1 - share)), jnp.float32)


def _normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jax.random.normal(key, shape, jnp.float32)
