"""Maps of any kind, mixed linearly after every step: discretised composites, and native ones."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.dynamics._propagator import propagator
from limitset.dynamics._scheme import AbstractScheme, ExplicitEuler, SplitScheme
from limitset.networks import Assembly, Composite, check_parts, scaled_speed, split_state


class CompositeMap(AbstractMap):
    """`x+ = mixing concat_i(f_i(x_i, u))`, for parts that are maps of any kind.

    The parts step on their own, then `mixing` lets them act on one another. Where it does not
    expand in the parts' metric the map contracts as its slowest part does, however long the step.

    **Arguments:**

    - `parts`: at least one map, all with the same number of inputs.
    - `mixing`: shape (n, n), n the total number of state variables.

    **Raises:** `InputProblem` if sizes or dtypes do not fit.

    **Reference:** arXiv 2106.08928, for the metric of the parts.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import Elman
    >>> cell = Elman(jnp.zeros((2, 1)), jnp.zeros((2, 2)), jnp.zeros(2), jnp.zeros(2))
    >>> CompositeMap((cell, cell), jnp.eye(4)).state_size
    4
    """

    parts: tuple[AbstractMap, ...]
    mixing: Float[Array, "n n"]

    def __check_init__(self) -> None:
        check_parts(self.parts, self.mixing, "mixing", AbstractMap)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of state variables of each part."""
        return tuple(part.state_size for part in self.parts)

    @property
    def state_size(self) -> int:
        """Number of state variables of all parts together."""
        return self.mixing.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs, shared by all parts."""
        return self.parts[0].input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state."""
        pieces = zip(self.parts, split_state(x, self.sizes), strict=True)
        return self.mixing @ jnp.concatenate([part.advance(n, piece, u) for part, piece in pieces])


def discretise_composite(
    flow: Composite,
    scheme: AbstractScheme,
    discretise: Callable[[AbstractFlow, AbstractScheme], AbstractMap],
) -> CompositeMap:
    """Parts by their own steps, speeds included, then the propagator of the coupling.

    Assemblies and composites among the parts use the same scheme, all others explicit Euler.
    """
    if not isinstance(scheme, SplitScheme):
        raise InputProblem(
            f"{type(scheme).__name__} does not split the coupling off; use SemiImplicit, Cayley or "
            "Rotation, or make an Assembly of the composite with `flatten`"
        )
    own = ExplicitEuler(scheme.step)
    parts = []
    for part, speed in zip(flow.parts, flow.speeds, strict=True):
        rule = scheme if isinstance(part, Assembly | Composite) else own
        parts.append(discretise(scaled_speed(part, speed), rule))
    return CompositeMap(tuple(parts), propagator(flow.coupling, scheme))
