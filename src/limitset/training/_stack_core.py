"""The core of linear recurrences in a deep stack."""

from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import StableStack, recurrence_stack
from limitset.training._core import (
    AbstractCore,
    check_between,
    check_least,
    check_positive,
    check_units,
)


@dataclass(frozen=True)
class StackCore(AbstractCore):
    """A deep stack of diagonal linear recurrences with nonlinear relays between them.

    `layers` of `units` complex units each; a stream of `width` numbers between them; relays of
    `hidden` units; moduli from `shortest` to `longest` and angles up to `angle` at the start.
    """

    layers: int = 2
    units: int = 64
    width: int = 32
    hidden: int = 64
    shortest: float = 0.9
    longest: float = 0.999
    angle: float = 0.314

    def __post_init__(self) -> None:
        check_least(self, layers=1, units=1, width=1, hidden=1)
        check_between(self, "shortest", "longest")
        check_positive(self, "angle")
        check_units(2 * self.units, self.layers)
        if not self.shortest < self.longest:
            raise InputProblem(
                f"shortest is {self.shortest} and longest {self.longest}; give a smaller and a "
                "larger modulus"
            )

    @property
    def name(self) -> str:
        """`"stack"`."""
        return "stack"

    @property
    def scheme(self) -> None:
        """None: it is a map."""
        return None

    def build(self, key: Key[Array, ""], inputs: int) -> StableStack:
        """The untrained stack."""
        return recurrence_stack(
            key,
            layers=self.layers,
            units=self.units,
            width=self.width,
            hidden=self.hidden,
            inputs=inputs,
            r_min=self.shortest,
            r_max=self.longest,
            max_angle=self.angle,
        )
