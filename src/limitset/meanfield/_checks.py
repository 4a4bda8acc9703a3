"""What mean-field functions refuse."""

import math

import jax
import numpy as np
from jax.core import Tracer

from limitset._result import InputProblem
from limitset.networks import GatedParameters


def require_parameters(parameters: GatedParameters) -> None:
    """Refuse what is no record of parameters, and gains that are not positive or enormous."""
    if not isinstance(parameters, GatedParameters):
        raise InputProblem(
            f"parameters are a {type(parameters).__name__}; give limitset.networks.GatedParameters"
        )
    require_number("gain", parameters.gain, least=1e-8)
    for name in ("update_gain", "output_gain", "state_bias", "update_bias", "output_bias"):
        require_number(name, getattr(parameters, name), least=-1e8)


def require_variance(parameters: GatedParameters, state_variance: object) -> None:
    """Refuse a record or a variance that cannot be used; what is traced is not looked at."""
    if not isinstance(parameters, GatedParameters):
        raise InputProblem(
            f"parameters are a {type(parameters).__name__}; give limitset.networks.GatedParameters"
        )
    if not isinstance(state_variance, Tracer):
        require_number("state_variance", state_variance)


def require_number(name: str, value: object, *, least: float = 0.0, most: float = 1e8) -> float:
    """The value as a float, refused if it is not one number between `least` and `most`."""
    shape = getattr(value, "shape", ())
    real = shape == () and isinstance(value, int | float | np.number | jax.Array | np.ndarray)
    number = float(value) if real else math.nan  # pyright: ignore[reportArgumentType]
    if not least <= number <= most:
        shown = f"of shape {shape}" if shape else repr(value)
        raise InputProblem(f"{name} is {shown}; give one number from {least:g} to {most:g}")
    return number
