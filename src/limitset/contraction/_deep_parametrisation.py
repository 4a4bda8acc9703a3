"""Free parameters of deep networks: a core for each stage, and a readout."""

import equinox as eqx

from limitset._result import InputProblem
from limitset.contraction._block_parametrisation import AbstractBlockParametrisation
from limitset.networks import AbstractOperator, DeepNetwork, LinearReadout, Stage


class StageParametrisation(eqx.Module):
    """Free parameters of a stage.

    **Arguments:** `core`, free parameters of its block; `depth`, `start` and `exit` as in
    `limitset.networks.Stage`; what they hold is free.
    """

    core: AbstractBlockParametrisation
    depth: int = eqx.field(static=True)
    start: AbstractOperator | None = None
    exit: AbstractOperator | None = None

    def __check_init__(self) -> None:
        if not isinstance(self.core, AbstractBlockParametrisation):
            raise InputProblem(
                f"core is a {type(self.core).__name__}; give a block's parametrisation, as "
                "FreeBlock(block)"
            )

    def explicit(self) -> Stage:
        """The stage that runs."""
        return Stage(self.core.explicit(), self.depth, self.start, self.exit)


class DeepParametrisation(eqx.Module):
    """Free parameters of a deep network; whatever their values, its blocks keep their promises.

    Cores of the `AbstractProjected` kind keep them after `project`.

    **Arguments:** `stages`, at least one; `readout`.

    **Raises:** `InputProblem` if one stage does not fit the next.

    **Reference:** arXiv 1804.07209.

    >>> import jax
    >>> from limitset.contraction import random_dense_block
    >>> core = random_dense_block(jax.random.key(0), kind="spectral", units=4, inputs=2)
    >>> readout = LinearReadout(jax.numpy.ones((3, 4)), jax.numpy.zeros(3))
    >>> DeepParametrisation((StageParametrisation(core, 5),), readout).explicit().output_size
    3
    """

    stages: tuple[StageParametrisation, ...]
    readout: LinearReadout

    def __check_init__(self) -> None:
        eqx.filter_eval_shape(DeepParametrisation.explicit, self)

    def explicit(self) -> DeepNetwork:
        """The network that runs. Compute it once per update, outside the loops over depth."""
        return DeepNetwork(tuple(stage.explicit() for stage in self.stages), self.readout)

    def idle(self) -> int:
        """How many of the stored numbers have no effect."""
        return sum(stage.core.idle() for stage in self.stages)
