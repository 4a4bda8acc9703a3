"""Units with input-only gates: every unit has its own speed, which the input sets."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._activation import Activation, find_activation


class GatedRate(AbstractFlow):
    """Units that feed back to themselves only, each at a speed that the input sets.

    `dx/dt = nu(u) * (-x + self_weight * phi(x) + input_weight u + bias)`, entry by entry, with
    `nu(u) = slowest + (fastest - slowest) * sigmoid(gate_weight u + gate_bias)`.

    The gates see the input, never the state, and each acts on its own unit's feedback only: that
    keeps the units contracting, in every diagonal metric. Couplings between units belong outside,
    where no gate multiplies them: `GatedAssembly`.

    **Example:**

    >>> import jax.numpy as jnp
    >>> units = GatedRate(jnp.array([0.5, -0.5]), slowest=0.01, fastest=0.2)
    >>> units.state_size, units.input_size, units.slowest.shape
    (2, 0, (2,))
    """

    self_weight: Float[Array, " n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    gate_weight: Float[Array, "n m"]
    gate_bias: Float[Array, " n"]
    slowest: Float[Array, " n"]
    fastest: Float[Array, " n"]
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        self_weight: Float[Array, " n"],
        input_weight: Float[Array, "n m"] | None = None,
        bias: Float[Array, " n"] | None = None,
        *,
        gate_weight: Float[Array, "n m"] | None = None,
        gate_bias: Float[Array, " n"] | None = None,
        slowest: float | Float[Array, "..."],
        fastest: float | Float[Array, "..."],
        activation: str | Activation = "tanh",
    ) -> None:
        """**Arguments:**

        - `self_weight`: shape (n,).
        - `input_weight`, `gate_weight`: shape (n, m); no inputs, and gates that no input moves, if
          omitted.
        - `bias`, `gate_bias`: shape (n,); zero if omitted.
        - `slowest`, `fastest`: the ends of every gate, per unit of time, for all units or one each;
          positive.
        - `activation`: a name in `ACTIVATIONS` or an `Activation`.

        **Raises:** `InputProblem` on shapes or speeds that do not fit.
        """
        require_arrays(self_weight=self_weight)
        size, dtype = self_weight.shape[-1] if self_weight.ndim else 0, self_weight.dtype
        entering = {"input_weight": input_weight, "gate_weight": gate_weight}
        require_arrays(**{name: w for name, w in entering.items() if w is not None})
        given = [w for w in (input_weight, gate_weight) if w is not None]
        none = jnp.zeros((size, given[0].shape[-1] if given else 0), dtype)
        self.self_weight = self_weight
        self.input_weight = none if input_weight is None else input_weight
        self.gate_weight = none if gate_weight is None else gate_weight
        self.bias = jnp.zeros(size, dtype) if bias is None else bias
        self.gate_bias = jnp.zeros(size, dtype) if gate_bias is None else gate_bias
        self.slowest = _spread("slowest", slowest, size, dtype)
        self.fastest = _spread("fastest", fastest, size, dtype)
        self.activation = find_activation(activation)

    def __check_init__(self) -> None:
        require_arrays(bias=self.bias, gate_bias=self.gate_bias)
        size = self.self_weight.size
        if self.self_weight.shape != (size,) or size == 0:
            raise InputProblem(
                f"self_weight has shape {self.self_weight.shape}; give one number for each unit, "
                "shape (n,) with n >= 1"
            )
        if not jnp.issubdtype(self.self_weight.dtype, jnp.floating):
            raise InputProblem(
                f"self_weight has dtype {self.self_weight.dtype}; convert it to float32 or float64"
            )
        entering = (size, self.input_weight.shape[-1])
        needed = {"input_weight": entering, "gate_weight": entering}
        needed |= {"bias": (size,), "gate_bias": (size,)}
        for name, shape in needed.items():
            if getattr(self, name).shape != shape:
                raise InputProblem(
                    f"{name} has shape {getattr(self, name).shape}; {size} units and "
                    f"{entering[1]} inputs need {shape}"
                )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.self_weight.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.input_weight.shape[-1]

    def enter(self, u: Input) -> tuple[State, State]:
        """What the input sets: the gates `nu(u)`, and `input_weight u + bias`."""
        # One product for both: half as many calls, each of twice the size.
        both = jnp.concatenate([self.gate_weight, self.input_weight]) @ u
        gates, entering = both[: self.state_size], both[self.state_size :]
        share = jax.nn.sigmoid(gates + self.gate_bias)
        return self.slowest + (self.fastest - self.slowest) * share, entering + self.bias

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        del t
        gates, entering = self.enter(u)
        return gates * (self.self_weight * self.activation(x) + entering - x)


class GatedAssembly(AbstractFlow):
    """Gated units under a linear coupling that no gate touches: `dx/dt = units(x, u) + L x`.

    A gate that multiplied the coupling too would let the input destroy contraction: with units
    that have no weights at all, and a skew coupling of size 2, gates that swap between
    (0.2, 0.002) and (0.002, 0.2) every 17 units of time make distances grow.

    **Arguments:** `units`; `coupling` is `L`, shape (n, n).

    **Example:**

    >>> import jax.numpy as jnp
    >>> units = GatedRate(jnp.zeros(2), slowest=0.002, fastest=0.2)
    >>> GatedAssembly(units, jnp.array([[0.0, -2.0], [2.0, 0.0]])).state_size
    2

    **Reference:** arXiv 2106.08928 for the coupling.
    """

    units: GatedRate
    coupling: Float[Array, "n n"]

    def __check_init__(self) -> None:
        require_arrays(coupling=self.coupling)
        if not isinstance(self.units, GatedRate):
            raise InputProblem(f"units are a {type(self.units).__name__}; give a GatedRate")
        size = self.units.state_size
        if self.coupling.shape != (size, size):
            raise InputProblem(
                f"coupling has shape {self.coupling.shape}; {size} units need ({size}, {size})"
            )
        if self.coupling.dtype != self.units.self_weight.dtype:
            raise InputProblem(
                f"coupling is {self.coupling.dtype} and the units {self.units.self_weight.dtype}; "
                "convert them to one dtype"
            )

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.units.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.units.input_size

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        return self.units.velocity(t, x, u) + self.coupling @ x


def _spread(
    name: str, speed: float | Float[Array, "..."], size: int, dtype: jnp.dtype
) -> Float[Array, " n"]:
    # Arrays may be traced (training may learn speeds): `certify` tests those.
    if isinstance(speed, float | int) and not 0 < speed < float("inf"):
        raise InputProblem(f"{name} is {speed}; give a positive, finite speed")
    array = jnp.asarray(speed, dtype)
    if array.shape not in ((), (size,)):
        raise InputProblem(
            f"{name} has shape {array.shape}; give one number, or one for each of {size} units"
        )
    return jnp.broadcast_to(array, (size,))
