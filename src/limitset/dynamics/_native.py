"""Assemblies that are maps from the start: no flow behind them, and no step that could be wrong."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset.dynamics._propagator import propagator
from limitset.dynamics._scheme import Cayley, Rotation, SemiImplicitMap
from limitset.networks import Assembly


def native_assembly(
    assembly: Assembly, turn: type[Cayley] | type[Rotation] = Cayley
) -> SemiImplicitMap:
    """`x+ = C drive(x, u)`: the modules' drives side by side, then a rotation among them.

    `C` is the Cayley transform of the coupling, or its exponential. If the coupling is skew in the
    modules' metric, `C` keeps that metric's norm, and the map has the largest factor of the modules
    `x+ = drive(x, u)` alone, for every coupling. It is the map of the scheme `turn` at the step 1
    for modules with leak 1 and time constant 1, so that `keep = 0` and `gain = 1`.

    **Arguments:**

    - `assembly`: its modules and coupling, such as a parametrisation's `explicit()`. Leaks and time
      constants are set to 1.
    - `turn`: `Cayley` or `Rotation`.

    **Returns:** a `SemiImplicitMap`, differentiable in the assembly; certify it.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> half = RateNetwork(jnp.full((1, 1), 0.5), activation="identity")
    >>> quarter_turn = jnp.pi / 2 * jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> native = native_assembly(Assembly((half, half), quarter_turn), Rotation)
    >>> native.advance(0, jnp.array([1.0, 0.0]), jnp.zeros(0)).round(9).tolist()
    [0.0, 0.5]
    """
    groups = tuple(
        eqx.tree_at(
            lambda group: (group.leak, group.time_constant),
            group,
            (jnp.ones_like(group.leak), jnp.ones_like(group.time_constant)),
        )
        for group in assembly.groups
    )
    plain: Assembly = eqx.tree_at(lambda whole: whole.groups, assembly, groups)
    scheme, size = turn(1.0), assembly.state_size
    dtype = assembly.coupling.dtype
    none: Float[Array, " n"] = jnp.zeros(size, dtype)
    turned = propagator(assembly.coupling, scheme)
    return SemiImplicitMap(plain, none, jnp.ones(size, dtype), turned, scheme)
