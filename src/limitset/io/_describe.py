"""Between systems and their description: a small JSON object and named arrays."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import (
    CompositeMap,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
    GatedMap,
    GatedNetworkMap,
    ImplicitMap,
    RateMap,
    SemiImplicitMap,
)
from limitset.io._describe_block import BLOCK_KINDS, describe_block, rebuild_block
from limitset.io._describe_cell import (
    describe_cell,
    describe_reset_before,
    rebuild_cell,
    rebuild_reset_before,
)
from limitset.io._describe_composite import describe_composite, rebuild_composite
from limitset.io._describe_deep import describe_deep, rebuild_deep
from limitset.io._describe_gated import describe_gated, rebuild_gated
from limitset.io._describe_gated_network import describe_gated_network, rebuild_gated_network
from limitset.io._describe_organism import describe_organism, rebuild_organism
from limitset.io._describe_particle import describe_particle, rebuild_particle
from limitset.io._describe_rate import (
    describe_assembly,
    describe_rate,
    implicit_scheme,
    rebuild_assembly,
    rebuild_rate,
)
from limitset.io._describe_ren import describe_ren, rebuild_ren
from limitset.io._describe_stack import (
    describe_recurrence,
    describe_stack,
    rebuild_recurrence,
    rebuild_stack,
)
from limitset.io._entries import Config, Tensors, require_one_dtype
from limitset.networks import (
    GRU,
    LSTM,
    REN,
    Assembly,
    Composite,
    DeepNetwork,
    DiagonalRecurrence,
    Elman,
    EquilibriumBlock,
    GatedAssembly,
    GatedNetwork,
    GatedRate,
    GradientBlock,
    RateNetwork,
    ResetBeforeGRU,
    ResidualBlock,
    Stack,
    UntiedBlock,
)
from limitset.replication import Organism, Particle

# What has a place in the model format. A deep network is no system: its depths, and its readout,
# belong to it.
Stored = AbstractFlow | AbstractMap | DeepNetwork

_DESCRIBE: dict[type[Stored], Callable[[Any], tuple[Config, Tensors]]] = {
    RateNetwork: describe_rate,
    RateMap: describe_rate,
    Assembly: describe_assembly,
    SemiImplicitMap: describe_assembly,
    EulerAssemblyMap: describe_assembly,
    ExponentialAssemblyMap: describe_assembly,
    ImplicitMap: lambda system: _describe_implicit(system),
    Composite: lambda system: describe_composite(system, describe),
    CompositeMap: lambda system: describe_composite(system, describe),
    GatedRate: describe_gated,
    GatedAssembly: describe_gated,
    GatedMap: describe_gated,
    GatedNetwork: describe_gated_network,
    GatedNetworkMap: describe_gated_network,
    REN: describe_ren,
    DiagonalRecurrence: describe_recurrence,
    Stack: lambda system: describe_stack(system, describe),
    Elman: describe_cell,
    GRU: describe_cell,
    LSTM: describe_cell,
    ResetBeforeGRU: describe_reset_before,
    Particle: describe_particle,
    Organism: describe_organism,
    ResidualBlock: describe_block,
    GradientBlock: describe_block,
    EquilibriumBlock: describe_block,
    UntiedBlock: describe_block,
    DeepNetwork: describe_deep,
}
_REBUILD: dict[str, Callable[[Config, dict[str, Any]], Stored]] = {
    "rate": rebuild_rate,
    "assembly": rebuild_assembly,
    "composite": lambda config, tensors: rebuild_composite(config, tensors, rebuild),
    "gated": rebuild_gated,
    "gated_network": rebuild_gated_network,
    "ren": rebuild_ren,
    "diagonal_recurrence": rebuild_recurrence,
    "stack": lambda config, tensors: rebuild_stack(config, tensors, rebuild),
    "elman": rebuild_cell,
    "gru": rebuild_cell,
    "lstm": rebuild_cell,
    "reset_before_gru": rebuild_reset_before,
    "particle": rebuild_particle,
    "organism": rebuild_organism,
    **dict.fromkeys(BLOCK_KINDS, rebuild_block),
    "deep": rebuild_deep,
}


def describe(system: Stored) -> tuple[Config, Tensors]:
    """The configuration and the tensors that determine a system, exactly as it is stored.

    **Raises:** `InputProblem` for a system that has no place in the model format.

    >>> import jax.numpy as jnp
    >>> config, tensors = describe(RateNetwork(jnp.zeros((2, 2))))
    >>> config["kind"], sorted(tensors)
    ('rate', ['bias', 'input_weight', 'weight'])
    """
    # Exact types: a subclass may run something else than what would be stored.
    if type(system) not in _DESCRIBE:
        raise InputProblem(
            f"{type(system).__name__} has no place in the model format; save one of "
            f"{', '.join(known.__name__ for known in _DESCRIBE)}"
        )
    return _DESCRIBE[type(system)](system)


def _describe_implicit(system: ImplicitMap) -> tuple[Config, Tensors]:
    """The flow, of any kind that has a discretisation, and the step as stored."""
    config, tensors = describe(system.flow)
    scheme = {"scheme": system.scheme.name, "step": float(system.scheme.step)}
    return {**config, "discretisation": scheme}, {**tensors, "step": np.asarray(system.step)}


def rebuild(config: Config, tensors: Tensors) -> Stored:
    """The system that a description determines; the inverse of `describe`.

    **Raises:** `InputProblem` naming the first key or tensor that is missing, unknown or does not
    fit.
    """
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in _REBUILD:
        raise InputProblem(f"kind {kind!r} is not known; use one of {', '.join(_REBUILD)}")
    require_one_dtype(tensors)
    arrays = {k: jnp.asarray(v) for k, v in tensors.items()}
    scheme = implicit_scheme(config, arrays)
    if scheme is None:
        return _REBUILD[kind](config, arrays)
    step = arrays.pop("step")
    flow = _REBUILD[kind]({**config, "discretisation": None}, arrays)
    if not isinstance(flow, AbstractFlow):
        raise InputProblem(f"kind {kind!r} is no flow; backward_euler needs one")
    return ImplicitMap(flow, step, scheme)
