"""Recurrent equilibrium networks: a linear system around one triangular layer of units."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks._activation import Activation, find_activation


class REN(AbstractMap):
    """A linear system with n states, in a loop with k units that may feed one another in a row.

    `x+ = A x + B1 w + B2 u + bx`, `w = phi(v)`, `v = C1 x + D11 w + D12 u + bv`.

    `D11` is strictly lower triangular: unit i hears the units before it, so that `w` follows unit
    by unit. All stable linear systems are among these maps, and so are Elman cells and the maps of
    rate networks.

    **Arguments:** `A` (n, n), `B1` (n, k), `B2` (n, m), `bx` (n,), `C1` (k, n), `D11` (k, k), `D12`
    (k, m), `bv` (k,); `activation`, a name in `ACTIVATIONS` or an `Activation`.

    **Raises:** `InputProblem` on shapes that do not fit, or a `D11` with entries on its diagonal or
    above.

    **Example:**

    >>> import jax.numpy as jnp
    >>> one, none = jnp.ones((1, 1)), jnp.zeros(1)
    >>> ren = REN(0.5 * one, 0.25 * one, one, none, one, 0 * one, one, none, activation="relu")
    >>> float(ren.advance(0, jnp.ones(1), jnp.ones(1))[0])
    2.0

    **Reference:** arXiv 2104.05942.
    """

    A: Float[Array, "n n"]
    B1: Float[Array, "n k"]
    B2: Float[Array, "n m"]
    bx: Float[Array, " n"]
    C1: Float[Array, "k n"]
    D11: Float[Array, "k k"]
    D12: Float[Array, "k m"]
    bv: Float[Array, " k"]
    activation: Activation = eqx.field(static=True, converter=find_activation, default="tanh")

    def __check_init__(self) -> None:
        require_arrays(A=self.A, B1=self.B1, B2=self.B2, bx=self.bx)
        require_arrays(C1=self.C1, D11=self.D11, D12=self.D12, bv=self.bv)
        n, k, m = self.bx.size, self.bv.size, self.B2.shape[-1] if self.B2.ndim else 0
        if n == 0:
            raise InputProblem("bx is empty; a REN needs at least one state")
        shapes = {"A": (n, n), "B1": (n, k), "B2": (n, m), "bx": (n,)}
        shapes |= {"C1": (k, n), "D11": (k, k), "D12": (k, m), "bv": (k,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputProblem(
                    f"{name} has shape {getattr(self, name).shape}; {n} states, {k} units and {m} "
                    f"inputs need {shape}"
                )
        # A traced matrix has no values to look at; `advance` uses nothing above the diagonal.
        if not isinstance(self.D11, Tracer) and jnp.triu(self.D11).any():
            raise InputProblem(
                "D11 has entries on its diagonal or above; number the units so that each hears "
                "only those before it"
            )

    @property
    def state_size(self) -> int:
        """Number of states."""
        return self.A.shape[0]

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.B2.shape[1]

    @property
    def unit_count(self) -> int:
        """Number of units."""
        return self.bv.shape[0]

    def respond(self, x: State, u: Input) -> Float[Array, " k"]:
        """The units' values `w`, in the order in which they hear one another."""
        entering = self.C1 @ x + self.D12 @ u + self.bv
        if self.unit_count == 0:
            return entering

        def settle(
            w: Float[Array, " k"], row: tuple[Float[Array, " k"], Float[Array, ""], Array]
        ) -> tuple[Float[Array, " k"], None]:
            weights, constant, unit = row
            # The units from this one on are still 0: the row's later entries have no effect.
            return w.at[unit].set(self.activation(constant + weights @ w)), None

        units = jnp.arange(self.unit_count)
        return jax.lax.scan(settle, jnp.zeros_like(entering), (self.D11, entering, units))[0]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        return self.A @ x + self.B1 @ self.respond(x, u) + self.B2 @ u + self.bx
