"""Composites: flows of any kind coupled linearly in their states, to any depth."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays, require_several
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._assembly import Assembly
from limitset.networks._rate import RateNetwork


class Composite(AbstractFlow):
    """`dx_i/dt = speeds_i f_i(x_i, u) + sum_j L_ij x_j`, for parts that are flows of any kind.

    The state is the concatenation of the parts' states, all parts see the same time and input, and
    `L` (`coupling`) acts on states. A speed multiplies the part's own velocity, never the coupling.
    Diagonal blocks of `L` are allowed: they damp, or excite, a part.

    Parts may be composites themselves. `L` and the speeds are constants: a coupling that depends
    on the state (a gate, an attention) adds terms to the Jacobian that no rule here covers, and
    cannot be written as a composite.

    **Example:**

    >>> import jax.numpy as jnp
    >>> pair = Assembly([RateNetwork(jnp.zeros((1, 1)))] * 2, jnp.zeros((2, 2)))
    >>> Composite((pair, RateNetwork(jnp.zeros((3, 3)))), jnp.zeros((5, 5))).sizes
    (2, 3)

    **Reference:** arXiv 2106.08928.
    """

    parts: tuple[AbstractFlow, ...]
    coupling: Float[Array, "n n"]
    speeds: Float[Array, " p"]

    def __init__(
        self,
        parts: Sequence[AbstractFlow],
        coupling: Float[Array, "n n"],
        speeds: Float[Array, " p"] | None = None,
    ) -> None:
        """**Arguments:**

        - `parts`: at least one flow, all with the same number of inputs.
        - `coupling`: `L`, shape (n, n) with n the total number of state variables.
        - `speeds`: shape (p,), positive; all 1 if omitted.

        **Raises:** `InputProblem` if sizes or dtypes do not fit, or a speed is not positive.
        """
        require_arrays(coupling=coupling)
        if speeds is not None:
            require_arrays(speeds=speeds)
        require_several("parts", parts)
        self.parts, self.coupling = tuple(parts), coupling
        self.speeds = jnp.ones(len(self.parts), coupling.dtype) if speeds is None else speeds

    def __check_init__(self) -> None:
        check_parts(self.parts, self.coupling, "coupling", AbstractFlow)
        if self.speeds.shape != (len(self.parts),) or self.speeds.dtype != self.coupling.dtype:
            raise InputProblem(
                f"speeds have shape {self.speeds.shape} and dtype {self.speeds.dtype}; give one "
                f"number for each of {len(self.parts)} parts, of dtype {self.coupling.dtype}"
            )
        # Traced speeds have no values to look at.
        if isinstance(self.speeds, Tracer):
            return
        speeds = np.asarray(self.speeds)
        if not (np.isfinite(speeds).all() and (speeds > 0).all()):
            raise InputProblem(f"speeds are {speeds.tolist()}; give positive, finite numbers")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of state variables of each part."""
        return tuple(part.state_size for part in self.parts)

    @property
    def state_size(self) -> int:
        """Number of state variables of all parts together."""
        return self.coupling.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs, shared by all parts."""
        return self.parts[0].input_size

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`."""
        own = [
            speed * part.velocity(t, piece, u)
            for part, piece, speed in zip(
                self.parts, split_state(x, self.sizes), self.speeds, strict=True
            )
        ]
        return jnp.concatenate(own) + self.coupling @ x


def flatten(composite: Composite) -> Assembly:
    """The same flow as one `Assembly`, for composites of rate networks and assemblies.

    Speeds become part of the time constants, `time_constant / speed`, and of inner couplings, up to
    a rounding. An assembly runs all modules in few products, and has maps for every scheme.

    **Raises:** `InputProblem` if a part is of another kind, or a diagonal block of a coupling
    that would fall within a module is not 0.

    >>> import jax.numpy as jnp
    >>> half = Composite((RateNetwork(jnp.zeros((1, 1))),), jnp.zeros((1, 1)), jnp.array([0.5]))
    >>> float(flatten(half).modules[0].time_constant)
    2.0
    """
    modules, coupling = _flat(composite)
    return Assembly(modules, coupling)


def scaled_speed(flow: AbstractFlow, speed: Float[Array, ""]) -> AbstractFlow:
    """The flow `speed * flow`, of the same kind; differentiable in the speed.

    **Raises:** `InputProblem` for a kind that cannot hold a speed, unless the speed is 1.
    """
    if isinstance(flow, RateNetwork):
        return eqx.tree_at(lambda n: n.time_constant, flow, flow.time_constant / speed)
    if isinstance(flow, Assembly):
        modules = [scaled_speed(module, speed) for module in flow.modules]
        return Assembly([m for m in modules if isinstance(m, RateNetwork)], speed * flow.coupling)
    if isinstance(flow, Composite):
        return Composite(flow.parts, speed * flow.coupling, speed * flow.speeds)
    if not isinstance(speed, Tracer) and float(speed) == 1:
        return flow
    raise InputProblem(
        f"a {type(flow).__name__} has no place for a speed; give it the speed 1, and put the speed "
        "into its own constants"
    )


def split_state(x: State, sizes: tuple[int, ...]) -> list[Float[Array, " _"]]:
    """The parts of a state."""
    ends = np.cumsum(sizes).tolist()
    return [x[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def check_parts(
    parts: tuple[object, ...], matrix: Float[Array, "n n"], name: str, kind: type
) -> None:
    """Refuse parts and a matrix between them that do not fit in kind, size, inputs or dtype."""
    require_arrays(**{name: matrix})
    require_several("parts", parts)
    if not parts or not all(isinstance(part, kind) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts) or "nothing"
        word = "flow" if issubclass(kind, AbstractFlow) else "map"
        raise InputProblem(f"parts are {kinds}; give at least one {word}, and no other kind")
    sizes = [getattr(part, "state_size", 0) for part in parts]
    inputs = [getattr(part, "input_size", 0) for part in parts]
    if len(set(inputs)) > 1:
        raise InputProblem(f"parts have {inputs} inputs; all see the same input: make them one")
    if matrix.shape != (sum(sizes), sum(sizes)):
        raise InputProblem(
            f"{name} has shape {matrix.shape}; parts of sizes {sizes} need {(sum(sizes),) * 2}"
        )
    leaves = [leaf for leaf in jax.tree.leaves(parts) if eqx.is_inexact_array(leaf)]
    dtypes = {matrix.dtype, *(leaf.dtype for leaf in leaves)}
    if len(dtypes) > 1:
        raise InputProblem(
            f"{name} and parts have dtypes {sorted(map(str, dtypes))}; convert all to one"
        )


def _flat(flow: AbstractFlow) -> tuple[list[RateNetwork], Float[Array, "n n"]]:
    """Modules and coupling of a flow that consists of rate networks."""
    if isinstance(flow, RateNetwork):
        return [flow], jnp.zeros((flow.state_size,) * 2, flow.weight.dtype)
    if isinstance(flow, Assembly):
        return list(flow.modules), flow.coupling
    if not isinstance(flow, Composite):
        raise InputProblem(
            f"a part is a {type(flow).__name__}; only composites of rate networks and assemblies "
            "are assemblies"
        )
    pairs = [
        _flat(scaled_speed(part, speed))
        for part, speed in zip(flow.parts, flow.speeds, strict=True)
    ]
    inner = jax.scipy.linalg.block_diag(*(coupling for _, coupling in pairs))
    return [module for modules, _ in pairs for module in modules], inner + flow.coupling
