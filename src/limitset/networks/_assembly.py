"""Assemblies: rate networks coupled linearly in their states."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays, require_several
from limitset._system import AbstractFlow
from limitset._types import Input, State, Time
from limitset.networks._rate import RateNetwork


class Assembly(AbstractFlow):
    """Modules that feed their states back to one another: `dx_i/dt = f_i(x_i, u) + sum_j L_ij x_j`.

    The state is the concatenation of the modules' states, all modules see the same input `u`, and
    `L` (`coupling`) acts on states, outside the activations and outside the time constants.

    Consecutive modules of equal size and kind are stored stacked, so that a step is one batched
    product however many modules there are.

    **Example:**

    >>> import jax.numpy as jnp
    >>> module = RateNetwork(jnp.zeros((2, 2)))
    >>> skew = jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.ones((2, 2)))
    >>> Assembly((module, module), skew).sizes
    (2, 2)

    **Reference:** arXiv 2106.08928.
    """

    groups: tuple[RateNetwork, ...]
    coupling: Float[Array, "n n"]

    def __init__(
        self, modules: tuple[RateNetwork, ...] | list[RateNetwork], coupling: Float[Array, "n n"]
    ) -> None:
        """**Arguments:**

        - `modules`: at least one `RateNetwork`, all with the same number of inputs.
        - `coupling`: `L`, shape (n, n) with n the total number of units.

        **Raises:** `InputProblem` if sizes do not fit or a diagonal block of `coupling` is not 0.
        """
        require_arrays(coupling=coupling)
        require_several("modules", modules)
        modules = tuple(modules)
        if not modules or not all(isinstance(m, RateNetwork) for m in modules):
            kinds = ", ".join(type(m).__name__ for m in modules) or "no modules"
            raise InputProblem(f"{kinds} came; an assembly needs at least one `RateNetwork`")
        if len({m.input_size for m in modules}) > 1:
            raise InputProblem(
                f"modules have {[m.input_size for m in modules]} inputs; all see the same input, "
                "so give every input_weight the same number of columns"
            )
        self.groups = tuple(_stack(run) for run in _runs(modules))
        self.coupling = coupling
        _check_coupling(coupling, modules)

    @property
    def modules(self) -> tuple[RateNetwork, ...]:
        """The modules, one by one, in the order of the state."""
        return tuple(
            jax.tree.map(lambda leaf, i=i: leaf[i], group)
            for group in self.groups
            for i in range(group.weight.shape[0])
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of units of each module."""
        return tuple(g.state_size for g in self.groups for _ in range(g.weight.shape[0]))

    @property
    def state_size(self) -> int:
        """Number of units of all modules together."""
        return self.coupling.shape[-1]

    @property
    def input_size(self) -> int:
        """Number of inputs, shared by all modules."""
        return self.groups[0].input_size

    def drive(self, x: State, u: Input) -> State:
        """The modules' drives, concatenated: all but leak, time constants and coupling."""
        # One product for all modules: split among them it takes longer than the modules do.
        entries = [jnp.concatenate(list(g.input_weight)) for g in self.groups]
        biases = [g.bias.reshape(-1) for g in self.groups]
        entering = jnp.concatenate(entries) @ u + jnp.concatenate(biases)
        parts, start = [], 0
        for group in self.groups:
            count, size = group.weight.shape[0], group.state_size
            place, shape = slice(start, start + count * size), (count, size)
            answer = jax.vmap(RateNetwork.respond)(
                group, x[place].reshape(shape), entering[place].reshape(shape)
            )
            parts.append(answer.reshape(-1))
            start += count * size
        return jnp.concatenate(parts)

    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt`; autonomous, so `t` is not used."""
        del t
        leak, time_constant = per_unit_constants(self)
        return (self.drive(x, u) - leak * x) / time_constant + self.coupling @ x


def _check_coupling(coupling: Float[Array, "n n"], modules: tuple[RateNetwork, ...]) -> None:
    sizes = [m.state_size for m in modules]
    total = sum(sizes)
    if coupling.shape != (total, total):
        raise InputProblem(
            f"coupling has shape {coupling.shape}; modules with {total} units in all need "
            f"({total}, {total})"
        )
    dtypes = {coupling.dtype, *(m.weight.dtype for m in modules)}
    if len(dtypes) > 1:
        raise InputProblem(
            f"coupling and modules have dtypes {sorted(map(str, dtypes))}; convert all to one"
        )
    # A traced coupling has no values to look at; parametrisations mask theirs.
    if isinstance(coupling, Tracer):
        return
    owner = np.repeat(np.arange(len(sizes)), sizes)
    if np.asarray(coupling)[owner[:, None] == owner].any():
        raise InputProblem(
            "coupling has entries between units of one module; move them into the module's weight, "
            "or, if they act on states, into a module of its own"
        )


def per_unit_constants(
    assembly: Assembly,
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Leak and time constant of every unit, each of shape (n,)."""
    groups = assembly.groups
    leak = jnp.concatenate([jnp.repeat(g.leak, g.state_size) for g in groups])
    time_constant = jnp.concatenate([jnp.repeat(g.time_constant, g.state_size) for g in groups])
    return leak, time_constant


def module_slices(assembly: Assembly) -> tuple[slice, ...]:
    """Where each module's units stand in the state."""
    slices, start = [], 0
    for size in assembly.sizes:
        slices.append(slice(start, start + size))
        start += size
    return tuple(slices)


def _kind(module: RateNetwork) -> tuple[object, ...]:
    return (
        module.weight.shape,
        module.weight.dtype,
        module.activation,
        module.form,
    )


def _runs(modules: tuple[RateNetwork, ...]) -> list[list[RateNetwork]]:
    runs: list[list[RateNetwork]] = []
    for module in modules:
        if runs and _kind(runs[-1][-1]) == _kind(module):
            runs[-1].append(module)
        else:
            runs.append([module])
    return runs


def _stack(modules: list[RateNetwork]) -> RateNetwork:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *modules)
