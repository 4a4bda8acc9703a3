"""A map under one input that does not change."""

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex


class HeldMap(AbstractMap):
    """`x+ = advance(n, x, held)`: the map without inputs that runs while its input is held.

    Fixed points, cycles and exponents of a recurrent network are those under one input: this map
    has them, and `limitset.proofs.prove_map_fixed_point` proves them.

    **Arguments:** `map_`; `held`, its input, shape (m,), finite.

    **Raises:** `InputProblem` for inputs of another shape, or that are not finite.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import Elman
    >>> cell = Elman(jnp.ones((1, 1)), jnp.ones((1, 1)), jnp.zeros(1), jnp.zeros(1))
    >>> held = HeldMap(cell, jnp.array([1.0]))
    >>> held.input_size, float(held.advance(0, jnp.zeros(1), jnp.zeros(0))[0].round(4))
    (0, 0.7616)
    """

    map_: AbstractMap
    held: Float[Array, " m"]

    def __check_init__(self) -> None:
        require_arrays(held=self.held)
        if self.held.shape != (self.map_.input_size,):
            raise InputProblem(
                f"held has shape {self.held.shape}; the map needs ({self.map_.input_size},)"
            )
        if not isinstance(self.held, Tracer) and not jnp.isfinite(self.held).all():
            raise InputProblem("held has entries that are not finite; give finite numbers")

    @property
    def state_size(self) -> int:
        """Number of state variables."""
        return self.map_.state_size

    @property
    def input_size(self) -> int:
        """0: the input is part of the map."""
        return 0

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `u` is empty."""
        del u
        return self.map_.advance(n, x, self.held)
