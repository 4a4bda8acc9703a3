"""Rate networks: one layer of units with leak, in Hopfield or firing-rate form."""

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._activation import Activation, find_activation


class Form(enum.StrEnum):
    """Where the activation stands. The two forms have different contraction metrics.

    `HOPFIELD`: `x' = -x + W phi(x) + B u + b`. `FIRING_RATE`: `x' = -x + phi(W x + B u + b)`.
    """

    HOPFIELD = "hopfield"
    FIRING_RATE = "firing_rate"


class RateNetwork(AbstractFlow):
    """A rate network, as a flow.

    Hopfield form: `time_constant * dx/dt = -leak x + weight phi(x) + input_weight u + bias`.
    Firing-rate form: `time_constant * dx/dt = -leak x + phi(weight x + input_weight u + bias)`.

    **Example:**

    >>> import jax.numpy as jnp
    >>> network = RateNetwork(jnp.array([[0.0, -0.5], [0.5, 0.0]]))
    >>> network.state_size, network.input_size, network.activation.name
    (2, 0, 'tanh')
    """

    weight: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    activation: Activation = eqx.field(static=True)
    form: Form = eqx.field(static=True)
    leak: Float[Array, ""]
    time_constant: Float[Array, ""]

    def __init__(
        self,
        weight: Float[Array, "n n"],
        input_weight: Float[Array, "n m"] | None = None,
        bias: Float[Array, " n"] | None = None,
        *,
        activation: str | Activation = "tanh",
        form: str | Form = Form.HOPFIELD,
        leak: float | Float[Array, ""] = 1.0,
        time_constant: float | Float[Array, ""] = 1.0,
    ) -> None:
        """**Arguments:**

        - `weight`: shape (n, n), from column to row.
        - `input_weight`: shape (n, m); no inputs if omitted.
        - `bias`: shape (n,); zero if omitted.
        - `activation`: a name in `ACTIVATIONS` or an `Activation`.
        - `form`: `"hopfield"` or `"firing_rate"`.
        - `leak`: the coefficient of `-x`, 0 or positive.
        - `time_constant`: in units of time, positive.

        **Raises:** `InputProblem` on shapes, forms or constants that do not fit.
        """
        require_arrays(weight=weight)
        size = weight.shape[0] if weight.ndim == 2 else 0
        self.weight = weight
        self.input_weight = (
            jnp.zeros((size, 0), weight.dtype) if input_weight is None else input_weight
        )
        self.bias = jnp.zeros(size, weight.dtype) if bias is None else bias
        self.activation = find_activation(activation)
        if form not in tuple(Form):
            raise InputProblem(f"form {form!r} is not known; use 'hopfield' or 'firing_rate'")
        self.form = Form(form)
        _check_constants(leak, time_constant)
        self.leak = jnp.asarray(leak, weight.dtype)
        self.time_constant = jnp.asarray(time_constant, weight.dtype)

    def __check_init__(self) -> None:
        require_arrays(input_weight=self.input_weight, bias=self.bias)
        size = self.weight.shape[0] if self.weight.ndim == 2 else 0
        if self.weight.shape != (size, size) or size == 0:
            raise InputProblem(
                f"weight has shape {self.weight.shape}; a rate network needs (n, n) with n >= 1"
            )
        if not jnp.issubdtype(self.weight.dtype, jnp.floating):
            raise InputProblem(
                f"weight has dtype {self.weight.dtype}; convert it to float32 or float64"
            )
        if self.leak.shape or self.time_constant.shape:
            raise InputProblem(
                f"leak and time_constant have shapes {self.leak.shape} and "
                f"{self.time_constant.shape}; give one number each for the whole network"
            )
        if self.bias.shape != (size,) or self.input_weight.shape[:1] != (size,):
            raise InputProblem(
                f"bias {self.bias.shape} and input_weight {self.input_weight.shape} do not fit "
                f"{size} units; give shapes ({size},) and ({size}, m)"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.weight.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.input_weight.shape[-1]

    def drive(self, x: State, u: Input) -> State:
        """All of `time_constant * dx/dt` but the leak."""
        return self.respond(x, self.input_weight @ u + self.bias)

    def respond(self, x: State, entering: State) -> State:
        """The drive, for `entering = input_weight @ u + bias`."""
        # Not `x @ weight.T`: for one state XLA would transpose the matrix at every step.
        if self.form is Form.HOPFIELD:
            return self.weight @ self.activation(x) + entering
        return self.activation(self.weight @ x + entering)

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        del t
        return (self.drive(x, u) - self.leak * x) / self.time_constant


def _check_constants(
    leak: float | Float[Array, ""], time_constant: float | Float[Array, ""]
) -> None:
    # Arrays may be traced (a training loop may learn time constants): `certify` tests those.
    for name, value, least in (("leak", leak, 0.0), ("time_constant", time_constant, 1e-300)):
        if isinstance(value, float | int) and not least <= value < float("inf"):
            raise InputProblem(
                f"{name} is {value}; give a finite leak >= 0 and a finite time_constant > 0"
            )


def random_rate_network(
    key: Key[Array, ""],
    state_size: int,
    input_size: int = 0,
    *,
    gain: float = 1.0,
    activation: str | Activation = "tanh",
    form: str | Form = Form.HOPFIELD,
) -> RateNetwork:
    """A rate network with `W_ij ~ N(0, gain^2/n)` and `B_ij ~ N(0, 1/m)`, without bias.

    >>> import jax
    >>> random_rate_network(jax.random.key(0), 5, 2).input_weight.shape
    (5, 2)
    """
    if state_size < 1 or input_size < 0:
        raise InputProblem(
            f"sizes {state_size} and {input_size} make no network; use n >= 1 units, m >= 0 inputs"
        )
    weight_key, input_key = jax.random.split(key)
    weight = gain / state_size**0.5 * jax.random.normal(weight_key, (state_size, state_size))
    input_weight = (
        jax.random.normal(input_key, (state_size, input_size)) / max(input_size, 1) ** 0.5
    )
    return RateNetwork(weight, input_weight, activation=activation, form=form)
