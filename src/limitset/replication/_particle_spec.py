"""The shape of a particle network: a small network that may be asked for weights."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.networks import IDENTITY, Activation
from limitset.replication._position import PositionCode, coordinates

# Four inputs ask for a weight: its value and the three coordinates of its place.
QUESTION = 4


@dataclass(frozen=True)
class ParticleSpec:
    """Sizes, position code and activation of a particle: a network without biases, one output.

    `N(row) = W_L a(W_{L-1} ... a(W_1 row))`. A row asks for a weight by `(value, layer, cell, edge,
    0, ...)`, or for an answer to a task by `(0, 0, 0, 0, x, ...)`. All weights of a particle are
    one vector `theta`: matrices in order, each row by row, rows being targets.

    **Arguments:** `inputs` `p`, 4 or more: 5 for particles of an organism; `widths` of the hidden
    layers, so that there are `L = len(widths) + 1` matrices; `position`, a `PositionCode`;
    `activation` `a` of the hidden layers, the identity in the sources.

    **Raises:** `InputProblem` for sizes that do not fit.

    **Example:**

    >>> spec = ParticleSpec(inputs=5, widths=(3, 3))
    >>> spec.weight_count, spec.depth, spec.shapes
    (27, 3, ((3, 5), (3, 3), (1, 3)))

    **Reference:** arXiv 2212.10078; Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197.
    """

    inputs: int = QUESTION
    widths: tuple[int, ...] = (2, 2)
    position: PositionCode = PositionCode.COLMAX
    activation: Activation = field(default=IDENTITY)

    def __post_init__(self) -> None:
        if not (isinstance(self.inputs, int) and self.inputs >= QUESTION):
            raise InputProblem(f"inputs is {self.inputs!r}; give a whole number, 4 or more")
        if not (
            isinstance(self.widths, tuple)
            and self.widths
            and all(isinstance(width, int) and width > 0 for width in self.widths)
        ):
            raise InputProblem(
                f"widths is {self.widths!r}; give a tuple of positive whole numbers, as (2, 2)"
            )
        if not isinstance(self.position, PositionCode):
            raise InputProblem(
                f"position is {self.position!r}; give a PositionCode, as PositionCode.COLMAX"
            )
        if not isinstance(self.activation, Activation):
            raise InputProblem(f"activation is {self.activation!r}; give an Activation")

    @property
    def depth(self) -> int:
        """How many matrices, `L`."""
        return len(self.widths) + 1

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The shapes of the matrices, (targets, sources)."""
        return tuple(zip((*self.widths, 1), (self.inputs, *self.widths), strict=True))

    @property
    def weight_count(self) -> int:
        """How many weights, `n`."""
        return sum(rows * columns for rows, columns in self.shapes)

    @property
    def is_linear(self) -> bool:
        """Whether a particle is the linear function `kappa . row`."""
        return self.activation == IDENTITY

    @cached_property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """The coordinates of every weight, `Pi`; float64."""
        # With four inputs the source's slice of columns to normalise is empty.
        empty = self.position is PositionCode.L2COL and self.inputs == QUESTION
        return coordinates(self.shapes, PositionCode.RAW if empty else self.position)
