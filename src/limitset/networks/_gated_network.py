"""A recurrent network whose units have an update gate and an output gate, as a flow."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._gated_parameters import GatedParameters

_WEIGHTS = ("state_weight", "update_weight", "output_weight")
_INPUTS = ("state_input", "update_input", "output_input")


class GatedNetwork(AbstractFlow):
    """Units whose speed and whose output are gated by the network itself.

    - `dh/dt = sigma_z(z) * (-h + state_weight (phi(h) * sigma_r(r)) + I_h)`
    - `update_time dz/dt = -z + update_weight phi(h) + I_z`
    - `output_time dr/dt = -r + output_weight phi(h) + I_r`

    with `(I_h, I_z, I_r) = (state_input, update_input, output_input) + input_weight u`, and `phi`,
    `sigma_z`, `sigma_r` from `parameters`. The output gate acts on what a unit says, before the
    matrix. The state is `(h, z, r)` concatenated, 3n in all, also where a gate is open. A large
    `z` is fast here; in a GRU it keeps.

    **Example:**

    >>> import jax.numpy as jnp
    >>> skew = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> network = GatedNetwork(skew, skew, skew, GatedParameters(gain=1.5))
    >>> network.state_size, network.input_size
    (6, 0)

    **Reference:** arXiv 2007.14823.
    """

    state_weight: Float[Array, "n n"]
    update_weight: Float[Array, "n n"]
    output_weight: Float[Array, "n n"]
    parameters: GatedParameters
    state_input: Float[Array, " n"]
    update_input: Float[Array, " n"]
    output_input: Float[Array, " n"]
    input_weight: Float[Array, "rows m"]

    def __init__(
        self,
        state_weight: Float[Array, "n n"],
        update_weight: Float[Array, "n n"],
        output_weight: Float[Array, "n n"],
        parameters: GatedParameters,
        *,
        state_input: Float[Array, " n"] | None = None,
        update_input: Float[Array, " n"] | None = None,
        output_input: Float[Array, " n"] | None = None,
        input_weight: Float[Array, "rows m"] | None = None,
    ) -> None:
        """**Arguments:**

        - `state_weight`, `update_weight`, `output_weight`: shape (n, n), from column to row.
        - `parameters`: gains, biases and time constants; converted to the dtype of the weights.
        - `state_input`, `update_input`, `output_input`: constant inputs, shape (n,); zero if
          omitted.
        - `input_weight`: shape (3n, m), rows for `h`, `z` and `r`; no inputs if omitted.

        **Raises:** `InputProblem` on shapes, dtypes or numbers that do not fit.
        """
        require_arrays(state_weight=state_weight)
        size, dtype = state_weight.shape[-1] if state_weight.ndim else 0, state_weight.dtype
        if not isinstance(parameters, GatedParameters):
            raise InputProblem(
                f"parameters are a {type(parameters).__name__}; give GatedParameters(gain=...)"
            )
        if not jnp.issubdtype(dtype, jnp.floating):
            raise InputProblem(f"state_weight has dtype {dtype}; convert it to float32 or float64")
        none = jnp.zeros(size, dtype)
        self.state_weight = state_weight
        self.update_weight = update_weight
        self.output_weight = output_weight
        self.parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parameters)
        self.state_input = none if state_input is None else state_input
        self.update_input = none if update_input is None else update_input
        self.output_input = none if output_input is None else output_input
        no_inputs = jnp.zeros((3 * size, 0), dtype)
        self.input_weight = no_inputs if input_weight is None else input_weight

    def __check_init__(self) -> None:
        arrays = {name: getattr(self, name) for name in (*_WEIGHTS, *_INPUTS, "input_weight")}
        require_arrays(**arrays)
        size = self.state_weight.shape[-1] if self.state_weight.ndim else 0
        if size == 0:
            raise InputProblem(
                f"state_weight has shape {self.state_weight.shape}; give (n, n) with n >= 1"
            )
        dtype = self.state_weight.dtype
        inputs = self.input_weight.shape[-1] if self.input_weight.ndim else 0
        needed: dict[str, tuple[int, ...]] = {"input_weight": (3 * size, inputs)}
        needed |= {name: (size, size) for name in _WEIGHTS} | {name: (size,) for name in _INPUTS}
        for name, array in arrays.items():
            if array.shape != needed[name]:
                raise InputProblem(
                    f"{name} has shape {array.shape}; {size} units need {needed[name]}"
                )
            if array.dtype != dtype:
                raise InputProblem(
                    f"{name} is {array.dtype} and state_weight {dtype}; convert them to one dtype"
                )
            # Traced weights are not looked at; NumPy, since JAX traces all that it does in `jit`.
            if not isinstance(array, Tracer) and not np.isfinite(array).all():
                raise InputProblem(f"{name} has entries that are NaN or infinite; give finite ones")

    @property
    def size(self) -> int:
        """Number of units `n`; the state has three numbers for each."""
        return self.state_weight.shape[-1]

    @property
    def state_size(self) -> int:
        """Three times the number of units."""
        return 3 * self.size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.input_weight.shape[-1]

    def enter(self, u: Input) -> tuple[State, State, State]:
        """What comes from outside: `I_h`, `I_z` and `I_r`."""
        state, update, output = jnp.split(self.input_weight @ u, 3)
        return state + self.state_input, update + self.update_input, output + self.output_input

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        del t
        own = self.parameters
        h, z, r = jnp.split(x, 3)
        state_input, update_input, output_input = self.enter(u)
        said = own.phi(h)
        target = self.state_weight @ (said * own.output_gate(r)) + state_input
        return jnp.concatenate(
            [
                own.update_gate(z) * (target - h),
                (self.update_weight @ said + update_input - z) / own.update_time,
                (self.output_weight @ said + output_input - r) / own.output_time,
            ]
        )
