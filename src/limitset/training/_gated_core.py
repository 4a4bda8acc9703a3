"""The core of gated units under skew feedback, alone or below a layer of hidden units."""

from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import StableGatedAssembly, StableStack, gated_assembly, gated_stack
from limitset.training._core import (
    AbstractCore,
    check_between,
    check_least,
    check_positive,
    check_units,
)


@dataclass(frozen=True)
class GatedCore(AbstractCore):
    """A stable gated assembly of `modules` modules of `units` units, coupled by skew feedback.

    Speeds start between `slowest` and `fastest` (shares of a step); self-weights stay below
    `margin`; `coupling_gain` is the coupling's size at the start. Gates open by the input alone.
    """

    modules: int = 8
    units: int = 16
    activation: str = "relu"
    slowest: float = 1e-3
    fastest: float = 0.5
    margin: float = 0.99
    coupling_gain: float = 0.5

    def __post_init__(self) -> None:
        check_least(self, modules=1, units=1)
        check_between(self, "slowest", "fastest", "margin")
        check_positive(self, "coupling_gain")
        check_units(self.units, self.modules)
        _check_speeds(self.slowest, self.fastest)

    @property
    def name(self) -> str:
        """`"gated"`."""
        return "gated"

    @property
    def scheme(self) -> None:
        """None: it is a map."""
        return None

    def build(self, key: Key[Array, ""], inputs: int) -> StableGatedAssembly:
        """The untrained assembly."""
        return gated_assembly(
            key,
            modules=self.modules,
            units=self.units,
            inputs=inputs,
            activation=self.activation,
            slowest=self.slowest,
            fastest=self.fastest,
            margin=self.margin,
            coupling_gain=self.coupling_gain,
        )


@dataclass(frozen=True)
class GatedStackCore(AbstractCore):
    """A gated assembly that remembers, below a firing-rate module that makes features of it.

    `modules`, `units`, `slowest`, `fastest`, `coupling_gain` as in `GatedCore`; a stream of `width`
    numbers, a relay of `hidden` units, `top` units above.
    """

    modules: int = 6
    units: int = 16
    width: int = 10
    hidden: int = 32
    top: int = 16
    activation: str = "relu"
    slowest: float = 1e-3
    fastest: float = 0.5
    coupling_gain: float = 0.5

    def __post_init__(self) -> None:
        check_least(self, modules=1, units=1, width=1, hidden=1, top=1)
        check_between(self, "slowest", "fastest")
        check_positive(self, "coupling_gain")
        check_units(self.units, self.modules)
        check_units(self.modules * self.units + self.top)
        _check_speeds(self.slowest, self.fastest)

    @property
    def name(self) -> str:
        """`"gated_stack"`."""
        return "gated_stack"

    @property
    def scheme(self) -> None:
        """None: it is a map."""
        return None

    def build(self, key: Key[Array, ""], inputs: int) -> StableStack:
        """The untrained stack."""
        return gated_stack(
            key,
            modules=self.modules,
            units=self.units,
            inputs=inputs,
            width=self.width,
            hidden=self.hidden,
            top=self.top,
            activation=self.activation,
            slowest=self.slowest,
            fastest=self.fastest,
            coupling_gain=self.coupling_gain,
        )


def _check_speeds(slowest: float, fastest: float) -> None:
    if not slowest < fastest:
        raise InputProblem(
            f"slowest is {slowest} and fastest {fastest}; give a smaller and a larger share of a "
            "step"
        )
