"""What the commands of `limitset prove` share: the network, where files go, how bounds are told."""

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from pathlib import Path

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.io import load, require_writable
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import Ball

FAMILIES: dict[str, Callable[[RateNetwork], RateFamily]] = {
    "gain": gain_family,
    "shift": shift_family,
}
# States shown in a line of text.
_SHOWN = 8


def rate_flow(folder: Path) -> RateNetwork:
    """The stored network, if it is a rate network in continuous time."""
    system = load(folder).system
    if not isinstance(system, RateNetwork):
        raise InputProblem(
            f"{folder} holds {type(system).__name__}; this proof is for kind 'rate' without a "
            "discretisation"
        )
    return system


def certificates_folder(folder: Path, out: Path | None) -> Path:
    """Where certificates go: beside the model, or where the user wants them."""
    target = folder / "certificates" if out is None else out
    require_writable(target)
    return target


def require_interval(option: str, given: tuple[float, float]) -> None:
    """Raises `InputProblem` unless these are two finite numbers, the lower one first."""
    if not -math.inf < given[0] < given[1] < math.inf:
        raise InputProblem(
            f"{option} is {given[0]:g} {given[1]:g}; give two finite numbers LOW < HIGH"
        )


def read_state(option: str, text: str, size: int) -> Float[np.ndarray, " n"]:
    """A vector from the command line: numbers with commas between them, or a file of NumPy."""
    try:
        if text.endswith(".npy"):
            vector = np.load(text, allow_pickle=False)
        else:
            vector = np.array([float(part) for part in text.split(",")])
        vector = np.asarray(vector, np.float64)
    except (ValueError, TypeError, EOFError):
        raise InputProblem(
            f"{option} {text} is not readable; give numbers with commas between them, or a .npy "
            "file"
        ) from None
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise InputProblem(
            f"{option} has shape {vector.shape}; this network needs {size} finite numbers"
        )
    return vector


def bounds(ball: Ball) -> list[float]:
    """Both ends of a scalar enclosure."""
    return [float(ball.lower()), float(ball.upper())]


def enclosure(bounds: list[float]) -> str:
    """A rounded middle, and a radius around it, rounded up, that covers both ends."""
    with localcontext(prec=60):
        low, high = map(Decimal, bounds)
        middle = (low + high) / 2
        width = max(high - middle, abs(middle) * Decimal("1e-16"), Decimal("1e-18"))
        shown = middle.quantize(Decimal(1).scaleb(width.adjusted()))
        radius = max(high - shown, shown - low)
        return f"{shown:f} +- {Context(prec=1, rounding=ROUND_CEILING).plus(radius):.0e}"


def near(state: Float[np.ndarray, " n"]) -> str:
    """The first entries of a state."""
    shown = " ".join(f"{value:.6g}" for value in state[:_SHOWN])
    return f"near ({shown}{' ...' if len(state) > _SHOWN else ''})"
