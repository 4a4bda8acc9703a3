"""Free parameters -> weights that contract by construction, and the metric they contract in."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.networks import Activation, Assembly, Form, RateNetwork, find_activation


class WeightAndScale(eqx.Module):
    """Explicit recurrent weights and the diagonal metric that certifies them."""

    weight: Float[Array, "*p n n"]
    scale: Float[Array, "*p n"]


class AbstractWeightParametrisation(eqx.Module):
    """Free parameters whose `explicit` weights satisfy a contraction theorem for every value.

    Gradient steps, momentum, weight decay and averaging act on the free parameters, so nothing
    that training does can break the guarantee. Leading axes are stacked modules.
    """

    @abc.abstractmethod
    def explicit(self, limit: float) -> WeightAndScale:
        """Weights whose certified bound is `limit` (leak over largest slope, times the margin)."""

    @abc.abstractmethod
    def idle(self) -> int:
        """How many of the stored numbers have no effect."""


class AbsoluteValueWeight(AbstractWeightParametrisation):
    """`W = limit S^-1 R^-1/2 Theta C^-1/2 S`, R and C the row and column sums of |Theta|.

    The entrywise absolute value of `S W S^-1` has 2-norm at most `limit` (Schur's test), exactly
    `limit` if the pattern is irreducible. Zeros stay zero, so sparse modules stay sparse.

    **Arguments:** `theta` (..., n, n), any values; `log_scale` (..., n), any values.

    **Reference:** the absolute-value theorem of arXiv 2106.08928; Schur's test.
    """

    theta: Float[Array, "*p n n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float) -> WeightAndScale:
        """Weights and metric scale."""
        magnitude = jnp.abs(self.theta)
        rows, columns = magnitude.sum(-1), magnitude.sum(-2)
        # An empty row or column has nothing to normalise; 1 keeps its gradient finite.
        rows = jnp.where(rows > 0, rows, 1.0)
        columns = jnp.where(columns > 0, columns, 1.0)
        scale = jnp.exp(self.log_scale)
        left = limit / (scale * jnp.sqrt(rows))
        right = scale / jnp.sqrt(columns)
        return WeightAndScale(left[..., :, None] * self.theta * right[..., None, :], scale)

    def idle(self) -> int:
        """None."""
        return 0


class SingularValueWeight(AbstractWeightParametrisation):
    """`W = S^-1 U diag(limit sigmoid(spectrum)) V^T S`, U and V Cayley transforms of skew parts.

    `S W S^-1` has 2-norm below `limit`.

    **Arguments:** `left`, `right` (..., n, n), of which only the skew part counts; `spectrum` and
    `log_scale` (..., n). Any values.

    **Reference:** the singular-value theorem of arXiv 2106.08928.
    """

    left: Float[Array, "*p n n"]
    right: Float[Array, "*p n n"]
    spectrum: Float[Array, "*p n"]
    log_scale: Float[Array, "*p n"]

    def explicit(self, limit: float) -> WeightAndScale:
        """Weights and metric scale."""
        scale = jnp.exp(self.log_scale)
        values = limit * jax.nn.sigmoid(self.spectrum)
        core = (_cayley(self.left) * values[..., None, :]) @ jnp.swapaxes(
            _cayley(self.right), -1, -2
        )
        return WeightAndScale(core * scale[..., None, :] / scale[..., :, None], scale)

    def idle(self) -> int:
        """The diagonals of both skew parts; of each, one triangle mirrors the other."""
        return 2 * self.spectrum.size


def _cayley(free: Float[Array, "*p n n"]) -> Float[Array, "*p n n"]:
    skew = free - jnp.swapaxes(free, -1, -2)
    identity = jnp.eye(free.shape[-1], dtype=free.dtype)
    return jnp.linalg.solve(identity + skew, identity - skew)


class SkewCoupling(eqx.Module):
    """Linear negative feedback of any size: `L = S^-1 (K - K^T) S`, with `M L` skew for `M = S^2`.

    The skew matrix is formed in whitened coordinates `S x`; forming `B - M^-1 B^T M` instead loses
    the skew property to rounding when the metric is ill-conditioned.

    **Arguments:** `lower` (n, n), of which only the blocks strictly below the diagonal blocks
    count; `sizes`, units per module.

    **Reference:** arXiv 2106.08928, equation 3.
    """

    lower: Float[Array, "n n"]
    sizes: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.lower.shape != (sum(self.sizes),) * 2:
            raise InputProblem(
                f"lower has shape {self.lower.shape}; modules of sizes {self.sizes} need "
                f"({sum(self.sizes)}, {sum(self.sizes)})"
            )

    def explicit(self, scale: Float[Array, " n"]) -> Float[Array, "n n"]:
        """The coupling for the metric `diag(scale^2)`."""
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        lower = jnp.where(owner[:, None] > owner[None, :], self.lower, 0.0)
        return (lower - lower.T) * (scale[None, :] / scale[:, None])


class StableAssembly(AbstractParametrisation):
    """Free parameters of an assembly that contracts for every value they can take.

    Modules contract by their weight parametrisation, coupling is negative feedback in their metric.

    **Arguments:** `weights`, stacked over modules; `coupling`; `input_weight` (n, m); `bias` (n,);
    `time_constants`, one per module; `margin` in (0, 1): each module's certified bound is `margin`
    times what contraction allows.

    **Reference:** arXiv 2106.08928.
    """

    weights: AbstractWeightParametrisation
    coupling: SkewCoupling
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    activation: Activation = eqx.field(static=True, converter=find_activation)
    form: Form = eqx.field(static=True, converter=Form)
    time_constants: tuple[float, ...] = eqx.field(static=True)
    margin: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.activation.slope_interval is None:
            raise InputProblem(
                f"activation {self.activation.name!r} has no proved slope bound; a stable assembly "
                "needs tanh, relu, sigmoid, softplus or identity"
            )
        if not 0 < self.margin < 1:
            raise InputProblem(f"margin is {self.margin}; give a number between 0 and 1")
        if len(self.time_constants) != len(self.coupling.sizes):
            raise InputProblem(
                f"{len(self.time_constants)} time constants came for {len(self.coupling.sizes)} "
                "modules; give one each"
            )

    def explicit(self) -> Assembly:
        """The assembly that runs. Compute it once per update, outside any loop over time."""
        solved = self._solve()
        modules, start = [], 0
        for index, size in enumerate(self.coupling.sizes):
            stop = start + size
            modules.append(
                RateNetwork(
                    solved.weight[index],
                    self.input_weight[start:stop],
                    self.bias[start:stop],
                    activation=self.activation,
                    form=self.form,
                    time_constant=self.time_constants[index],
                )
            )
            start = stop
        return Assembly(tuple(modules), self.coupling.explicit(solved.scale.reshape(-1)))

    def metric(self) -> DiagonalMetric:
        """The metric that certifies `explicit()`; a proposal that `certify` still verifies."""
        return DiagonalMetric(self._solve().scale.reshape(-1).astype(jnp.float64))

    def idle(self) -> int:
        """What the coupling and the weights do not use."""
        sizes = self.coupling.sizes
        size, inside = sum(sizes), sum(k * k for k in sizes)
        return size * size - (size * size - inside) // 2 + self.weights.idle()

    def _solve(self) -> WeightAndScale:
        lowest, highest = self.activation.slope_interval or (0.0, 0.0)
        return self.weights.explicit(self.margin / max(abs(lowest), abs(highest)))


def random_stable_assembly(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    theorem: str = "absolute_value",
    activation: str = "tanh",
    form: str = "hopfield",
    time_constants: tuple[float, ...] | None = None,
    margin: float = 0.9,
    coupling_gain: float = 0.5,
) -> StableAssembly:
    """Random free parameters (float32) of an assembly of equal modules.

    **Arguments:** `modules`, `units` per module, `inputs`; `theorem` is `"absolute_value"` or
    `"singular_value"`; `time_constants` per module (1 if omitted); `coupling_gain` sets the spread
    of the coupling's entries, `coupling_gain / sqrt(n)`.

    **Raises:** `InputProblem` for sizes or names that do not fit.

    >>> import jax
    >>> random_stable_assembly(jax.random.key(0), modules=3, units=4, inputs=1).explicit().sizes
    (4, 4, 4)
    """
    if min(modules, units) < 1 or inputs < 0:
        raise InputProblem(
            f"modules {modules}, units {units}, inputs {inputs}; give at least 1, 1 and 0"
        )
    size = modules * units
    weight_key, coupling_key, input_key, bias_key = jax.random.split(key, 4)
    coupling = coupling_gain / size**0.5 * _normal(coupling_key, (size, size))
    return StableAssembly(
        weights=_random_weights(weight_key, theorem, (modules, units)),
        coupling=SkewCoupling(coupling, (units,) * modules),
        input_weight=_normal(input_key, (size, inputs)),
        bias=0.1 * _normal(bias_key, (size,)),
        activation=find_activation(activation),
        form=Form(form),
        time_constants=time_constants or (1.0,) * modules,
        margin=margin,
    )


def _random_weights(
    key: Key[Array, ""], theorem: str, shape: tuple[int, int]
) -> AbstractWeightParametrisation:
    modules, units = shape
    first, second, third = jax.random.split(key, 3)
    log_scale = jnp.zeros(shape, jnp.float32)
    square = (modules, units, units)
    if theorem == "absolute_value":
        return AbsoluteValueWeight(_normal(first, square), log_scale)
    if theorem == "singular_value":
        return SingularValueWeight(
            _normal(first, square), _normal(second, square), _normal(third, shape), log_scale
        )
    raise InputProblem(
        f"theorem {theorem!r} has no parametrisation; use 'absolute_value' or 'singular_value'"
    )


def _normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jax.random.normal(key, shape, jnp.float32)
