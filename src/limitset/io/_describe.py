"""Between systems and their description: a small JSON object and named arrays."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.io._describe_cell import describe_cell, rebuild_cell
from limitset.io._describe_rate import (
    describe_assembly,
    describe_rate,
    rebuild_assembly,
    rebuild_rate,
)
from limitset.io._entries import Config, Tensors, require_one_dtype
from limitset.networks import GRU, LSTM, Assembly, Elman, RateNetwork

_DESCRIBE: dict[type[AbstractFlow] | type[AbstractMap], Callable[[Any], tuple[Config, Tensors]]] = {
    RateNetwork: describe_rate,
    RateMap: describe_rate,
    Assembly: describe_assembly,
    SemiImplicitMap: describe_assembly,
    EulerAssemblyMap: describe_assembly,
    ExponentialAssemblyMap: describe_assembly,
    Elman: describe_cell,
    GRU: describe_cell,
    LSTM: describe_cell,
}
_REBUILD: dict[str, Callable[[Config, dict[str, Any]], AbstractFlow | AbstractMap]] = {
    "rate": rebuild_rate,
    "assembly": rebuild_assembly,
    "elman": rebuild_cell,
    "gru": rebuild_cell,
    "lstm": rebuild_cell,
}


def describe(system: AbstractFlow | AbstractMap) -> tuple[Config, Tensors]:
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


def rebuild(config: Config, tensors: Tensors) -> AbstractFlow | AbstractMap:
    """The system that a description determines; the inverse of `describe`.

    **Raises:** `InputProblem` naming the first key or tensor that is missing, unknown or does not
    fit.
    """
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in _REBUILD:
        raise InputProblem(f"kind {kind!r} is not known; use one of {', '.join(_REBUILD)}")
    require_one_dtype(tensors)
    return _REBUILD[kind](config, {k: jnp.asarray(v) for k, v in tensors.items()})
