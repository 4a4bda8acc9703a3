"""Activations that know their slope interval, derivatives, and a bound on their values."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem

Pointwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@dataclass(frozen=True)
class Activation:
    """A scalar function applied to every unit, with the facts that theorems use.

    `slope_interval = (lo, hi)` means `lo (a-b)^2 <= (phi(a)-phi(b)) (a-b) <= hi (a-b)^2` for all
    real a, b (incremental slopes, so ReLU needs no derivative at 0). It is a promise with a proof
    on paper; `None` means that no bound is known, and then nothing is certified.
    `supremum` bounds `|phi|` (`inf` if unbounded), `at_zero` is `|phi(0)|` rounded up.

    **Arguments:** the fields; `derivatives` are the first three derivatives, where known.

    **Raises:** `InputProblem` for an interval or bounds that nothing can fulfil.

    **Example:**

    >>> TANH.slope_interval, SILU.slope_interval
    ((0.0, 1.0), None)
    """

    name: str
    function: Pointwise
    slope_interval: tuple[float, float] | None = None
    derivatives: tuple[Pointwise, ...] = ()
    supremum: float = float("inf")
    at_zero: float = 0.0

    def __post_init__(self) -> None:
        if self.slope_interval is not None and not _is_interval(self.slope_interval):
            raise InputProblem(
                f"slope_interval of {self.name!r} is {self.slope_interval}; give (lo, hi), finite "
                "with lo <= hi, or None if no bound is known"
            )
        if not 0 <= self.at_zero <= self.supremum:
            raise InputProblem(
                f"at_zero {self.at_zero} and supremum {self.supremum} of {self.name!r} do not "
                "fit; give upper bounds of |phi(0)| and |phi|, 0 <= at_zero <= supremum"
            )

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The activation, entry by entry."""
        return self.function(x)


def _is_interval(given: tuple[float, float]) -> bool:
    """Whether it is a pair of finite numbers in order; NaN is not."""
    if not (isinstance(given, tuple) and len(given) == 2):
        return False
    if not all(isinstance(end, float | int) for end in given):
        return False
    return -math.inf < given[0] <= given[1] < math.inf


def _tanh_1(x: Float[Array, "..."]) -> Float[Array, "..."]:
    # 1 - tanh^2 loses all relative accuracy in saturation; sech^2 does not.
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / (1 + e) ** 2


def _tanh_2(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return -2 * jnp.tanh(x) * _tanh_1(x)


def _tanh_3(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return _tanh_1(x) * (6 * jnp.tanh(x) ** 2 - 2)


def _sigmoid_1(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return _tanh_1(x / 2) / 4


def _sigmoid_2(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return _tanh_2(x / 2) / 8


def _sigmoid_3(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return _tanh_3(x / 2) / 16


def _relu_1(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return (x > 0).astype(x.dtype)


def _same(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x


TANH = Activation("tanh", jnp.tanh, (0.0, 1.0), (_tanh_1, _tanh_2, _tanh_3), 1.0)
RELU = Activation("relu", jax.nn.relu, (0.0, 1.0), (_relu_1, jnp.zeros_like, jnp.zeros_like))
SIGMOID = Activation(
    "sigmoid", jax.nn.sigmoid, (0.0, 0.25), (_sigmoid_1, _sigmoid_2, _sigmoid_3), 1.0, 0.5
)
# log(2) = 0.6931471805599453094..., and this literal lies above it.
SOFTPLUS = Activation(
    "softplus",
    jax.nn.softplus,
    (0.0, 1.0),
    (jax.nn.sigmoid, _sigmoid_1, _sigmoid_2),
    float("inf"),
    0.6931471805599455,
)
IDENTITY = Activation(
    "identity", _same, (1.0, 1.0), (jnp.ones_like, jnp.zeros_like, jnp.zeros_like)
)
# Known functions whose slopes leave [0, 1]; no bound of theirs has been proved here, so networks
# that use them run and train but are never certified.
SILU = Activation("silu", jax.nn.silu)
GELU = Activation("gelu", jax.nn.gelu)


def leaky_relu(slope: float) -> Activation:
    """`max(x, slope x)`: ReLU that never stops, so that contraction has a rate everywhere.

    **Arguments:** `slope`, above 0 and at most 1. Its name is `leaky_relu:` and the slope.

    **Raises:** `InputProblem` for another slope.

    >>> leaky_relu(0.125).name, leaky_relu(0.125).slope_interval
    ('leaky_relu:0.125', (0.125, 1.0))
    """
    if not 0 < slope <= 1:
        raise InputProblem(f"the slope is {slope}; give a number above 0 and at most 1")
    return _leaky_relu(float(slope))


@functools.cache
def _leaky_relu(slope: float) -> Activation:
    # One object for one slope: static fields of modules are compared when programs are compiled.
    # In float32 the slope that runs is the nearest one.
    least = min(slope, float(np.float32(slope)))

    def function(x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.maximum(x, slope * x)

    def first(x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(x > 0, jnp.ones_like(x), jnp.full_like(x, slope))

    flat = (first, jnp.zeros_like, jnp.zeros_like)
    return Activation(f"leaky_relu:{slope!r}", function, (least, 1.0), flat)


ACTIVATIONS: dict[str, Activation] = {
    a.name: a for a in (TANH, RELU, SIGMOID, SOFTPLUS, IDENTITY, SILU, GELU)
}


def vanishes_at_zero_alone(activation: Activation) -> bool:
    """Whether it is known that `phi(z) = 0` at `z = 0` and nowhere else.

    >>> vanishes_at_zero_alone(TANH), vanishes_at_zero_alone(RELU)
    (True, False)
    """
    if activation == TANH:
        return True
    slopes = activation.slope_interval
    return slopes is not None and slopes[0] > 0 and activation.at_zero == 0


def find_activation(activation: str | Activation) -> Activation:
    """The activation of that name; an `Activation` is returned as it is.

    **Raises:** `InputProblem` for a name that is not in `ACTIVATIONS`.

    >>> find_activation("relu").name
    'relu'
    """
    if isinstance(activation, Activation):
        return activation
    kind, _, slope = activation.partition(":")
    if kind == "leaky_relu":
        return _read_leaky_relu(activation, slope)
    if activation not in ACTIVATIONS:
        raise InputProblem(
            f"activation {activation!r} is not known; use one of {', '.join(ACTIVATIONS)}, "
            "leaky_relu:SLOPE, or pass an `Activation`"
        )
    return ACTIVATIONS[activation]


def _read_leaky_relu(name: str, slope: str) -> Activation:
    try:
        return leaky_relu(float(slope))
    except ValueError:
        raise InputProblem(
            f"activation {name!r} has no slope above 0 and at most 1; write leaky_relu:0.125"
        ) from None
