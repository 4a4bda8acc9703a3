"""The core of coupled modules with recurrent weights of their own."""

from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import StableAssembly, delay_line_assembly, random_stable_assembly
from limitset.dynamics import AbstractScheme
from limitset.networks import Form
from limitset.training._core import (
    AbstractCore,
    check_between,
    check_least,
    check_positive,
    check_units,
    check_word,
    find_coupling_scheme,
    spread_time_constants,
)

_STARTS = ("delay_line", "absolute_value", "singular_value")


@dataclass(frozen=True)
class AssemblyCore(AbstractCore):
    """A stable assembly of `modules` modules of `units` units each.

    `start` is `"delay_line"`, `"absolute_value"` or `"singular_value"`: how weights are
    parametrised and begin. `slowest` is the largest of the modules' time constants, which spread
    evenly from 1; `step` is the time step, `margin` the certified bound of each module relative to
    the edge. `coupling_scheme` says how the coupling acts: `"semi_implicit"`, which damps fast
    turns, `"cayley"` or `"rotation"`, which lose nothing. `coupling_gain` is its size at the start;
    `None`: 0.02 for delay lines, else 0.5.
    """

    modules: int = 4
    units: int = 32
    start: str = "delay_line"
    activation: str = "tanh"
    form: str = "hopfield"
    margin: float = 0.97
    slowest: float = 3.0
    step: float = 1.0
    coupling_scheme: str = "semi_implicit"
    coupling_gain: float | None = None

    def __post_init__(self) -> None:
        check_least(self, modules=1, units=1, slowest=1.0)
        check_word(self, "start", _STARTS)
        check_word(self, "form", tuple(Form))
        check_positive(self, "slowest")
        check_between(self, "margin")
        check_units(self.units, self.modules)
        if self.coupling_gain is not None:
            check_positive(self, "coupling_gain")
        find_coupling_scheme(self.coupling_scheme, self.step)
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
    def scheme(self) -> AbstractScheme:
        """Leak and modules step by step, the coupling as `coupling_scheme` says."""
        return find_coupling_scheme(self.coupling_scheme, self.step)

    def build(self, key: Key[Array, ""], inputs: int) -> StableAssembly:
        """The untrained assembly."""
        constants = spread_time_constants(self.modules, self.slowest)
        sizes = {"modules": self.modules, "units": self.units, "inputs": inputs}
        kinds = {"activation": self.activation, "form": self.form, "margin": self.margin}
        if self.coupling_gain is not None:
            kinds["coupling_gain"] = self.coupling_gain
        if self.start == "delay_line":
            return delay_line_assembly(key, **sizes, **kinds, time_constants=constants)
        return random_stable_assembly(
            key, **sizes, **kinds, theorem=self.start, time_constants=constants
        )
