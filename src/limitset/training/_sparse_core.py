"""The core of sparse random modules: only what couples them is trained, or the modules too."""

from dataclasses import dataclass

from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction import StableAssembly, sparse_assembly
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

_WEIGHTS = ("frozen", "trained")


@dataclass(frozen=True)
class SparseCore(AbstractCore):
    """A stable assembly of `modules` sparse random modules of `units` units each.

    `density` is the share of a module's weights that exist; `weights` is `"frozen"` (training moves
    coupling, input weights and biases only) or `"trained"` (those that exist, too). `radius` as in
    `sparse_assembly`; `slowest`, `step`, `margin`, `coupling_scheme` and `coupling_gain` as in
    `AssemblyCore`.

    **Reference:** arXiv 2106.08928, the Sparse Combo Net.
    """

    modules: int = 8
    units: int = 16
    density: float = 0.1
    radius: float = 0.95
    weights: str = "frozen"
    activation: str = "relu"
    form: str = "hopfield"
    margin: float = 0.9
    slowest: float = 30.0
    step: float = 0.1
    coupling_scheme: str = "cayley"
    coupling_gain: float = 2.0

    def __post_init__(self) -> None:
        check_least(self, modules=1, units=1, slowest=1.0)
        check_word(self, "weights", _WEIGHTS)
        check_word(self, "form", tuple(Form))
        check_positive(self, "slowest", "coupling_gain")
        check_between(self, "margin", "radius")
        check_units(self.units, self.modules)
        if not 0 < self.density <= 1:
            raise InputProblem(f"density is {self.density}; give a share above 0 and at most 1")
        find_coupling_scheme(self.coupling_scheme, self.step)

    @property
    def name(self) -> str:
        """`"sparse"`."""
        return "sparse"

    @property
    def scheme(self) -> AbstractScheme:
        """Leak and modules step by step, the coupling as `coupling_scheme` says."""
        return find_coupling_scheme(self.coupling_scheme, self.step)

    def build(self, key: Key[Array, ""], inputs: int) -> StableAssembly:
        """The untrained assembly; the pattern is the same for every key."""
        return sparse_assembly(
            key,
            modules=self.modules,
            units=self.units,
            inputs=inputs,
            density=self.density,
            radius=self.radius,
            activation=self.activation,
            form=self.form,
            time_constants=spread_time_constants(self.modules, self.slowest),
            margin=self.margin,
            coupling_gain=self.coupling_gain,
            train_weights=self.weights == "trained",
        )
