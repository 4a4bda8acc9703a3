"""Deep networks: blocks in a row, each unrolled to its depth, and a readout."""

import equinox as eqx

from limitset._result import InputProblem
from limitset.networks._block import AbstractBlock
from limitset.networks._operator import AbstractOperator
from limitset.networks._readout import LinearReadout


class Stage(eqx.Module):
    """One block of a deep network, run for `depth` steps with its input held.

    **Arguments:** `block`; `depth`, at least 1; `start`, an operator from the input to the first
    state, or `None`: the first state is 0; `exit`, an operator on the last state, such as
    `MeanPool`, or `None`.

    **Raises:** `InputProblem` for sizes that do not fit.
    """

    block: AbstractBlock
    depth: int = eqx.field(static=True)
    start: AbstractOperator | None = None
    exit: AbstractOperator | None = None

    def __check_init__(self) -> None:
        if not (isinstance(self.depth, int) and self.depth >= 1):
            raise InputProblem(f"depth is {self.depth!r}; give a whole number, at least 1")
        if self.start is None and self.block.input_size == 0:
            raise InputProblem(
                "the block has no input and starts at 0, so nothing reaches it; give it an input "
                "operator, or the stage a start"
            )
        size = self.block.state_size
        entering = {operator.input_size for operator in (self.start,) if operator is not None}
        entering |= {self.block.input_size} - {0}
        starts = size if self.start is None else self.start.output_size
        leaves = size if self.exit is None else self.exit.input_size
        if len(entering) != 1 or starts != size or leaves != size:
            raise InputProblem(
                f"start, block and exit do not fit a state of {size} numbers and an input of "
                f"{', '.join(str(s) for s in sorted(entering))}; give operators of these sizes"
            )

    @property
    def input_size(self) -> int:
        """Length of what enters."""
        return self.block.input_size if self.start is None else self.start.input_size

    @property
    def output_size(self) -> int:
        """Length of what leaves."""
        return self.block.state_size if self.exit is None else self.exit.output_size


class DeepNetwork(eqx.Module):
    """Stages in a row, the last state read out linearly: images in, scores out.

    Run it with `limitset.dynamics.run_network`.

    **Arguments:** `stages`, at least one; `readout`.

    **Raises:** `InputProblem` if one stage does not fit the next.

    **Reference:** arXiv 1804.07209.
    """

    stages: tuple[Stage, ...]
    readout: LinearReadout

    def __check_init__(self) -> None:
        if not self.stages:
            raise InputProblem("no stage came; a deep network needs at least one")
        gives = [stage.output_size for stage in self.stages]
        takes = [stage.input_size for stage in self.stages[1:]]
        if gives != [*takes, self.readout.weight.shape[-1]]:
            raise InputProblem(
                f"stages give {gives} numbers, but those after them take {takes} and the readout "
                f"{self.readout.weight.shape[-1]}; give stages that fit"
            )

    @property
    def input_size(self) -> int:
        """Length of what enters the first stage."""
        return self.stages[0].input_size

    @property
    def output_size(self) -> int:
        """Number of scores."""
        return self.readout.weight.shape[-2]
