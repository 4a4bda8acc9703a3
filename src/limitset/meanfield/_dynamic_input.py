"""Input of the dynamic theory: refused where it is unusable, unless only compiled code knows it."""

import jax
import jax.core

from limitset._result import InputProblem
from limitset.meanfield._checks import require_number, require_parameters
from limitset.networks import GatedParameters


def is_traced(value: object) -> bool:
    """Whether the value is known only when a compiled function runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))


def require_dynamic(parameters: GatedParameters, input_variance: object) -> None:
    """Refuse parameters, time constants and input variances that no solution belongs to."""
    if not is_traced(parameters):
        require_parameters(parameters)
        for name in ("update_time", "output_time"):
            require_number(name, getattr(parameters, name), least=1e-6, most=1e6)
    if not is_traced(input_variance):
        require_number("input_variance", input_variance)


def require_constant_update(parameters: GatedParameters, name: str, instead: str) -> None:
    """Refuse an update gate that moves: `h` is then not Gaussian."""
    moves = not parameters.open_update and not is_traced(parameters.update_gain)
    if moves and float(parameters.update_gain) != 0:
        raise InputProblem(
            f"update_gain is {float(parameters.update_gain):g}; {name} needs 0 or an open update "
            f"gate, use {instead}"
        )
