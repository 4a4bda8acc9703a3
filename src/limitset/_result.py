"""Words that every folder shares: how much a claim is worth, and unusable input."""

import enum
from collections.abc import Sequence


class Evidence(enum.IntEnum):
    """How a claim was established, from weakest to strongest.

    `sampled < float64 < verified < checked`. `verified` means proved here in outward-rounded
    arithmetic, `checked` means proved again by the independent checker. Whatever combines claims
    keeps the weakest:

    >>> min(Evidence.VERIFIED, Evidence.SAMPLED).label
    'sampled'
    """

    SAMPLED = 0
    FLOAT64 = 1
    VERIFIED = 2
    CHECKED = 3

    @property
    def label(self) -> str:
        """The word used in certificates, plots and on the terminal."""
        return self.name.lower()


class InputProblem(ValueError):
    """Input that cannot be used. The message is one line: what came, what is needed, what to do."""


def require_several(name: str, given: object) -> None:
    """Refuse what is no tuple or list, such as `None`, by its name."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InputProblem(f"{name} is a {type(given).__name__}; give a tuple or a list of {name}")


def require_arrays(**given: object) -> None:
    """Refuse what is no array, such as a list, by its name; shapes are looked at afterwards."""
    for name, value in given.items():
        if not (hasattr(value, "shape") and hasattr(value, "dtype")):
            raise InputProblem(
                f"{name} is a {type(value).__name__}; give an array, as jax.numpy.array({name})"
            )
