"""What a training run chooses first: the kind of recurrent core and its sizes."""

import abc
import math
from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import AbstractParametrisation
from limitset.dynamics import AbstractScheme, Cayley, Rotation, SemiImplicit

# What the checker takes.
MOST_UNITS = 4096


@dataclass(frozen=True)
class AbstractCore(abc.ABC):
    """Settings of a core: a frozen record of numbers and words, stored with the model."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The word for it on the command line."""

    @property
    @abc.abstractmethod
    def scheme(self) -> AbstractScheme | None:
        """What makes a map of it; `None` if it is one."""

    @abc.abstractmethod
    def build(self, key: Key[Array, ""], inputs: int) -> AbstractParametrisation:
        """The untrained core for so many inputs, in float32."""


def check_least(core: AbstractCore, **least: float | int) -> None:
    """Refuse settings below the least that makes sense."""
    for key, bound in least.items():
        if not getattr(core, key) >= bound:
            raise InputProblem(f"{key} is {getattr(core, key)}; give at least {bound}")


def check_positive(core: AbstractCore, *keys: str) -> None:
    """Refuse settings that are not positive and finite."""
    for key in keys:
        if not 0 < getattr(core, key) < math.inf:
            raise InputProblem(f"{key} is {getattr(core, key)}; give a positive, finite number")


def check_between(core: AbstractCore, *keys: str) -> None:
    """Refuse settings outside the open interval from 0 to 1."""
    for key in keys:
        if not 0 < getattr(core, key) < 1:
            raise InputProblem(f"{key} is {getattr(core, key)}; give a number between 0 and 1")


def check_word(core: AbstractCore, key: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not among those known."""
    if getattr(core, key) not in known:
        raise InputProblem(f"{key} {getattr(core, key)!r} is not known; use {', '.join(known)}")


def check_units(units: int, modules: int = 1) -> None:
    """Refuse more units than the checker takes."""
    if modules * units > MOST_UNITS:
        words = f"{modules} modules of {units} units" if modules > 1 else f"{units} units"
        raise InputProblem(f"{words} are more than {MOST_UNITS} units; choose fewer")


# How the coupling of an assembly acts: each of them contracts for every coupling.
_SCHEMES: dict[str, type[SemiImplicit | Cayley | Rotation]] = {
    "semi_implicit": SemiImplicit,
    "cayley": Cayley,
    "rotation": Rotation,
}


def find_coupling_scheme(name: str, step: float) -> SemiImplicit | Cayley | Rotation:
    """The scheme of that name, or an `InputProblem`, also for steps beyond 1."""
    if name not in _SCHEMES:
        raise InputProblem(f"coupling_scheme {name!r} is not known; use {', '.join(_SCHEMES)}")
    if not 0 < step <= 1:
        raise InputProblem(f"step is {step}; the map is known to contract for steps in (0, 1]")
    return _SCHEMES[name](step)


def spread_time_constants(modules: int, slowest: float) -> tuple[float, ...]:
    """Evenly from 1 to the slowest."""
    return tuple(1.0 + (slowest - 1) * i / max(modules - 1, 1) for i in range(modules))
