"""The numbers that a gated network and its ensemble share: gains, biases, time constants."""

import math
from dataclasses import fields

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.networks._nonlinearity import TANH_LOGISTIC, Nonlinearity

Scalar = Float[Array, ""]


def _scalar(value: float | Scalar) -> Scalar:
    dtype = getattr(value, "dtype", None)
    if dtype is None and not isinstance(value, int | float):
        raise InputProblem(
            f"a {type(value).__name__} came as a parameter of a gated network; give a number"
        )
    # The dtype of floats is kept, so that networks may run in float32.
    floating = dtype is not None and jnp.issubdtype(dtype, jnp.floating)
    return jnp.asarray(value, dtype if floating else jnp.float64)


class GatedParameters(eqx.Module):
    """Gains, biases and time constants of a network with an update gate and an output gate.

    - `dh/dt = sigma_z(z) * (-h + J_h (phi(h) * sigma_r(r)) + I_h)`
    - `update_time dz/dt = -z + J_z phi(h) + I_z`
    - `output_time dr/dt = -r + J_r phi(h) + I_r`

    with `phi(h) = unit(gain h + state_bias)`, `sigma_z(z) = gate(update_gain z + update_bias)` and
    `sigma_r(r) = gate(output_gain r + output_bias)`. Gains sit inside the functions; in an
    ensemble the entries of each `J` have variance 1/n. A positive bias opens its gate; the source
    writes biases with the other sign, see `parameters_in_paper_signs`. Time is in units of the
    time constant of `h`.

    **Arguments:** the fields, each a finite number or an array of shape (), time constants
    positive; `open_update` and `open_output` set a gate to 1 whatever its input. A gate that is
    open ignores its gain, bias and time constant, which must then be left at their defaults.

    **Raises:** `InputProblem` for an open gate with a gain, a bias or a time constant, and for
    numbers that do not fit. Traced numbers are not looked at.

    **Example:**

    >>> parameters = GatedParameters(gain=3.0, output_gain=10.0)
    >>> float(parameters.output_gain), float(parameters.update_time)
    (10.0, 1.0)

    **Reference:** arXiv 2007.14823.
    """

    gain: Scalar = eqx.field(converter=_scalar, default=3.0)
    update_gain: Scalar = eqx.field(converter=_scalar, default=0.0)
    output_gain: Scalar = eqx.field(converter=_scalar, default=0.0)
    state_bias: Scalar = eqx.field(converter=_scalar, default=0.0)
    update_bias: Scalar = eqx.field(converter=_scalar, default=0.0)
    output_bias: Scalar = eqx.field(converter=_scalar, default=0.0)
    update_time: Scalar = eqx.field(converter=_scalar, default=1.0)
    output_time: Scalar = eqx.field(converter=_scalar, default=1.0)
    open_update: bool = eqx.field(static=True, default=False)
    open_output: bool = eqx.field(static=True, default=False)
    nonlinearity: Nonlinearity = eqx.field(static=True, default=TANH_LOGISTIC)

    def __check_init__(self) -> None:
        if not isinstance(self.nonlinearity, Nonlinearity):
            raise InputProblem(
                f"nonlinearity is a {type(self.nonlinearity).__name__}; give TANH_LOGISTIC, "
                "ERF_PROBIT or a Nonlinearity"
            )
        for field in fields(self):
            if not field.metadata.get("static", False):
                _check_number(field.name, getattr(self, field.name))
        for gate, is_open in (("update", self.open_update), ("output", self.open_output)):
            if not isinstance(is_open, bool):
                raise InputProblem(f"open_{gate} is {is_open!r}; give True or False")
            if is_open:
                self._check_unused(gate)

    def _check_unused(self, gate: str) -> None:
        for name, default in ((f"{gate}_gain", 0), (f"{gate}_bias", 0), (f"{gate}_time", 1)):
            value = getattr(self, name)
            if not isinstance(value, Tracer) and float(value) != default:
                raise InputProblem(
                    f"{name} is {float(value)} and open_{gate} is True; an open gate uses none: "
                    f"leave {name} out, or the gate closed"
                )

    def phi(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """What a unit says, `unit(gain h + state_bias)`."""
        return self.nonlinearity.unit(self.gain * h + self.state_bias)

    def phi_slope(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """Its derivative by `h`, the gain included."""
        return self.gain * self.nonlinearity.unit_slope(self.gain * h + self.state_bias)

    def phi_curvature(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """Its second derivative by `h`."""
        return self.gain**2 * self.nonlinearity.unit_curvature(self.gain * h + self.state_bias)

    def update_gate(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """The factor of the velocity, `sigma_z(z)`; 1 where the gate is open."""
        if self.open_update:
            return jnp.ones_like(z)
        return self.nonlinearity.gate(self.update_gain * z + self.update_bias)

    def update_gate_slope(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """The derivative of `update_gate`, the gain included."""
        if self.open_update:
            return jnp.zeros_like(z)
        return self.update_gain * self.nonlinearity.gate_slope(
            self.update_gain * z + self.update_bias
        )

    def output_gate(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        """The factor of what a unit says, `sigma_r(r)`; 1 where the gate is open."""
        if self.open_output:
            return jnp.ones_like(r)
        return self.nonlinearity.gate(self.output_gain * r + self.output_bias)

    def output_gate_slope(self, r: Float[Array, "..."]) -> Float[Array, "..."]:
        """The derivative of `output_gate`, the gain included."""
        if self.open_output:
            return jnp.zeros_like(r)
        return self.output_gain * self.nonlinearity.gate_slope(
            self.output_gain * r + self.output_bias
        )


def parameters_in_paper_signs(
    *,
    gain: float = 3.0,
    update_gain: float = 0.0,
    output_gain: float = 0.0,
    update_bias: float = 0.0,
    output_bias: float = 0.0,
    state_bias: float = 0.0,
    update_time: float = 1.0,
    output_time: float = 1.0,
) -> GatedParameters:
    """Parameters from the source's biases, `sigma(x) = 1 / (1 + exp(-alpha x + beta))`.

    There a large positive bias of a gate closes it; here it opens it. Only these two change signs.

    **Arguments:** as in `GatedParameters`, but `update_bias` and `output_bias` with the source's
    sign.

    **Returns:** `GatedParameters`.

    **Raises:** `InputProblem` for numbers that do not fit.

    >>> float(parameters_in_paper_signs(update_bias=2.0).update_bias)
    -2.0

    **Reference:** arXiv 2007.14823, as recalled; the sign is the opposite of that in machine
    learning.
    """
    return GatedParameters(
        gain=gain,
        update_gain=update_gain,
        output_gain=output_gain,
        state_bias=state_bias,
        update_bias=-update_bias,
        output_bias=-output_bias,
        update_time=update_time,
        output_time=output_time,
    )


def _check_number(name: str, value: Scalar) -> None:
    if value.shape != ():
        raise InputProblem(f"{name} has shape {value.shape}; give one number, or use jax.vmap")
    if isinstance(value, Tracer):
        return
    number = float(value)
    if not math.isfinite(number):
        raise InputProblem(f"{name} is {number}; give a finite number")
    if name.endswith("_time") and not number > 0:
        raise InputProblem(f"{name} is {number}; give a positive time constant")
