"""Free parameters of blocks: those projected after each update, and those without a promise."""

import abc
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from limitset._result import InputProblem
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.networks import AbstractBlock, Activation, UntiedBlock, untie

Tree = TypeVar("Tree", bound=PyTree)


class AbstractBlockParametrisation(AbstractParametrisation):
    """Free parameters of a block of a deep network."""

    @abc.abstractmethod
    def explicit(self) -> AbstractBlock:
        """The block that runs. Compute it once per update, outside the loops over depth."""

    @property
    @abc.abstractmethod
    def unties(self) -> bool:
        """Whether the promise holds too where every depth has weights of its own.

        Blocks that each contract in a norm of their own may grow without bound in a row.
        """


class AbstractProjected(AbstractBlockParametrisation):
    """Parameters whose promise holds after `project`, to be called after every update.

    The sets are convex in the parameters, so averages of weights stay inside but for rounding,
    which `average` sees to. Gradient clipping and weight decay belong into the optimiser, and so
    act before it. `explicit` takes the parameters as they are; what was not projected is for
    `certify_block` to refuse.
    """

    @abc.abstractmethod
    def projected(self) -> "AbstractProjected":
        """The parameters inside their set; those inside already come back bit for bit."""


def project(tree: Tree) -> Tree:
    """Every projected parametrisation in a pytree, projected; all else is untouched.

    Apply it to a model after each update of the optimiser, to copies that average weights and to
    checkpoints that were loaded. Not to an optimiser's state: momentum is no weight.

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import ProjectedDense, project
    >>> core = ProjectedDense(jnp.full((1, 1), 3.0), None, jnp.zeros(1), epsilon=0.25)
    >>> bool(project(core).root[0, 0] ** 2 <= 0.5), project((core, 7))[1]
    (True, 7)
    """
    return jax.tree.map(
        lambda node: node.projected() if isinstance(node, AbstractProjected) else node,
        tree,
        is_leaf=lambda node: isinstance(node, AbstractProjected),
    )


def average(mean: Tree, tree: Tree, weight: float) -> Tree:
    """`(1 - weight) mean + weight tree`, projected: for exponential averages of weights.

    Numbers that are not weights, such as counters, are those of `tree`.

    **Arguments:** two models of one structure; `weight` in [0, 1].

    **Raises:** `InputProblem` for another weight.

    >>> import jax.numpy as jnp
    >>> average(jnp.zeros(2), jnp.ones(2), 0.25).tolist()
    [0.25, 0.25]
    """
    if not 0 <= weight <= 1:
        raise InputProblem(f"weight is {weight}; give a number from 0 to 1")

    def blend(first: Array, second: Array) -> Array:
        return (1 - weight) * first + weight * second if eqx.is_inexact_array(second) else second

    return project(jax.tree.map(blend, mean, tree))


class FreeBlock(AbstractBlockParametrisation):
    """A block whose weights are free: no promise, for comparison.

    **Arguments:** `block`. Its numbers without axes, such as the step, are settings: they stay as
    they came, whatever an optimiser does.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> block = ResidualBlock(DenseOperator(jnp.ones((1, 1))), None, jnp.ones(1), jnp.array(0.5))
    >>> float(FreeBlock(block).explicit().step)
    0.5
    """

    block: AbstractBlock
    settings: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, block: AbstractBlock) -> None:
        self.block = block
        self.settings = tuple(float(a) for a in jax.tree.leaves(block) if _is_setting(a))

    def explicit(self) -> AbstractBlock:
        """The block, with the settings that it came with."""
        leaves, structure = jax.tree.flatten(self.block)
        settings = iter(self.settings)
        kept = [jnp.full_like(a, next(settings)) if _is_setting(a) else a for a in leaves]
        return jax.tree.unflatten(structure, kept)

    def metric(self) -> None:
        """None: free weights come with no proposal."""
        return None

    def idle(self) -> int:
        """The settings."""
        return len(self.settings)

    @property
    def unties(self) -> bool:
        """Yes: there is no promise to lose."""
        return True


class UntiedParametrisation(AbstractBlockParametrisation):
    """Weights that differ from depth to depth, with one input: a block that is not tied.

    **Arguments:** `layers`, parametrisations of blocks of one shape, one per depth, of a kind whose
    blocks share a norm: `ProjectedConvolution`, `RowSumConvolution` and `StableEquilibrium` without
    metrics of their own, `StableGradient`, or `FreeBlock`, which promises nothing.

    **Raises:** `InputProblem` for kinds that do not: two blocks of `ProjectedDense`, each stable by
    itself, can grow by 1.23 per pair.
    """

    layers: tuple[AbstractBlockParametrisation, ...]

    def __check_init__(self) -> None:
        for index, layer in enumerate(self.layers):
            if not layer.unties:
                raise InputProblem(
                    f"layer {index}, a {type(layer).__name__}, promises stability in a norm of its "
                    "own, which is lost where weights differ; tie them, or use StableGradient or "
                    "row sums without a metric"
                )
        eqx.filter_eval_shape(UntiedParametrisation.explicit, self)

    def explicit(self) -> UntiedBlock:
        """The blocks, one after the other in depth."""
        return untie([layer.explicit() for layer in self.layers])

    def metric(self) -> AbstractMetric | None:
        """The metric that the layers share."""
        return self.layers[0].metric()

    def idle(self) -> int:
        """What the layers do not use."""
        return sum(layer.idle() for layer in self.layers)

    @property
    def unties(self) -> bool:
        """No: depths do not nest."""
        return False


def rounding_slack(dtype: jax.typing.DTypeLike, terms: int) -> float:
    """How far a sum of so many products may be off, relatively, in any order of summation.

    The bound is `(terms - 1) u` for a sum and `u` for each product, with `u` half the machine
    epsilon; the rest is for the few operations that use the sum. An allowance, not a proof:
    explicit weights are verified as they came out.
    """
    return (terms + 8) * float(jnp.finfo(dtype).eps)


def check_epsilon(epsilon: float, largest: float, dtype: jax.typing.DTypeLike, terms: int) -> None:
    """Refuse what is not strictly inside (0, largest), or drowns in the rounding of the weights."""
    if not 0 < epsilon < largest:
        raise InputProblem(f"epsilon is {epsilon}; give a number between 0 and {largest}")
    least = 4 * rounding_slack(dtype, terms)
    if not epsilon > least:
        raise InputProblem(
            f"epsilon {epsilon} drowns in the rounding of {jnp.dtype(dtype).name}; give more than "
            f"{least:.1e}, or weights of higher precision"
        )


def check_step(step: float, largest: float) -> None:
    """Refuse a step that is not in (0, largest]."""
    if not 0 < step <= largest:
        raise InputProblem(
            f"step is {step}; the theorem needs a positive step of at most {largest:.6g}"
        )


def check_slopes(activation: Activation) -> None:
    """Refuse an activation whose slopes are not known to lie in [0, 1]."""
    slopes = activation.slope_interval
    if slopes is None or not (slopes[0] >= 0 and slopes[1] <= 1):
        raise InputProblem(
            f"activation {activation.name!r} has slopes {slopes}; a stable block needs slopes in "
            "[0, 1], as tanh, relu, leaky_relu:SLOPE, sigmoid or softplus have"
        )


def runs_as(value: float, dtype: jax.typing.DTypeLike) -> float:
    """The number that a setting becomes in the precision that runs."""
    return float(np.asarray(value, jnp.dtype(dtype)))


def _is_setting(leaf: PyTree) -> bool:
    return eqx.is_inexact_array(leaf) and jnp.ndim(leaf) == 0
