"""The core of coupled modules with recurrent weights of their own."""

from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import StableAssembly, delay_line_assembly, random_stable_assembly
from limitset.dynamics import SemiImplicit
from limitset.networks import Form
from limitset.training._core import (
    AbstractCore,
    check_between,
    check_least,
    check_positive,
    check_units,
    check_word,
)

_STARTS = ("delay_line", "absolute_value", "singular_value")


@dataclass(frozen=True)
class AssemblyCore(AbstractCore):
    """A stable assembly of `modules` modules of `units` units each.

    `start` is `"delay_line"`, `"absolute_value"` or `"singular_value"`: how weights are
    parametrised and begin. `slowest` is the largest of the modules' time constants, which spread
    evenly from 1; `step` is the time step, `margin` the certified bound of each module relative to
    the edge.
    """

    modules: int = 4
    units: int = 32
    start: str = "delay_line"
    activation: str = "tanh"
    form: str = "hopfield"
    margin: float = 0.97
    slowest: float = 3.0
    step: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, modules=1, units=1, slowest=1.0)
        check_word(self, "start", _STARTS)
        check_word(self, "form", tuple(Form))
        check_positive(self, "slowest")
        check_between(self, "margin")
        check_units(self.units, self.modules)
        if not 0 < self.step <= 1:
            raise InputProblem(
                f"step is {self.step}; the semi-implicit map contracts for steps in (0, 1]"
            )
        # Scales of a line span margin^units, and single precision has to hold their ratios'
        # squares.
        if self.start == "delay_line" and not self.margin**self.units > 1e-15:
            raise InputProblem(
                f"a delay line of {self.units} units with margin {self.margin} needs scales "
                "beyond single precision; choose fewer units, or a margin nearer to 1"
            )

    @property
    def name(self) -> str:
        """`"assembly"`."""
        return "assembly"

    @property
    def scheme(self) -> SemiImplicit:
        """Semi-implicit steps."""
        return SemiImplicit(self.step)

    def build(self, key: Key[Array, ""], inputs: int) -> StableAssembly:
        """The untrained assembly."""
        spread = self.slowest - 1
        constants = tuple(1.0 + spread * i / max(self.modules - 1, 1) for i in range(self.modules))
        sizes = {"modules": self.modules, "units": self.units, "inputs": inputs}
        kinds = {"activation": self.activation, "form": self.form, "margin": self.margin}
        if self.start == "delay_line":
            return delay_line_assembly(key, **sizes, **kinds, time_constants=constants)
        return random_stable_assembly(
            key, **sizes, **kinds, theorem=self.start, time_constants=constants
        )
