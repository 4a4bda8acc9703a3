"""Blocks of deep networks as maps in depth: the state moves, the block's input is held."""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks._activation import TANH, Activation, find_activation
from limitset.networks._operator import AbstractOperator


class AbstractBlock(AbstractMap):
    """A map in depth. What its input adds is the same at every step, so it is computed once."""

    @abc.abstractmethod
    def enter(self, u: Input) -> PyTree:
        """What the input adds to each step: compute it once, outside the loop over depth."""

    @abc.abstractmethod
    def respond(self, n: StepIndex, x: State, entering: PyTree) -> State:
        """The next state, for `entering = enter(u)`."""

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state."""
        return self.respond(n, x, self.enter(u))


class ResidualBlock(AbstractBlock):
    """`x+ = x + step * phi(A x + B u + b)`: a residual layer with its input injected at each depth.

    **Arguments:** `state_operator` A, (n, n); `input_operator` B, (n, m), or `None`: no input, the
    usual residual network; `bias` b, shape (n,), or one number per channel of n / c entries each,
    shape (c,); `step` h, an array without axes, positive; `activation`.

    **Raises:** `InputProblem` for sizes that do not fit.

    **Reference:** arXiv 1804.07209.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> damped = DenseOperator(jnp.array([[-0.5]]))
    >>> block = ResidualBlock(damped, None, jnp.ones(1), jnp.array(1.0), "relu")
    >>> float(block.advance(0, jnp.zeros(1), jnp.zeros(0))[0])
    1.0
    """

    state_operator: AbstractOperator
    input_operator: AbstractOperator | None
    bias: Float[Array, " c"]
    step: Float[Array, ""]
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_state_block(self)

    @property
    def state_size(self) -> int:
        """Length of the state."""
        return self.state_operator.output_size

    @property
    def input_size(self) -> int:
        """Length of the block's input."""
        return entering_size(self.input_operator)

    def enter(self, u: Input) -> State:
        """`B u + b`."""
        return drive(self.input_operator, self.bias, self.state_size, u)

    def respond(self, n: StepIndex, x: State, entering: State) -> State:
        """`x + step * phi(A x + entering)`; the same at every depth."""
        del n
        return x + self.step * self.activation(self.state_operator(x) + entering)


class GradientBlock(AbstractBlock):
    """`x+ = (1 - step leak) x - step R^T phi(R x + B u + b)`: a gradient step with leak.

    For slopes in [0, 1] and `step <= 2 / (|R|^2 + 2 leak)` it contracts by `1 - step leak` in the
    plain 2-norm, ReLU included, also where weights differ from depth to depth. `leak` 0 gives a
    layer of Lipschitz constant 1.

    **Arguments:** `operator` R, (r, n); `input_operator` B, (r, m), or `None`; `bias` b, shape (r,)
    or one number per channel; `step`, `leak`, arrays without axes; `activation`.

    **Raises:** `InputProblem` for sizes that do not fit.

    **Reference:** arXiv 2110.12690 for `leak` 0 without input.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> eye, half = DenseOperator(jnp.eye(1)), jnp.array(0.5)
    >>> block = GradientBlock(eye, None, jnp.zeros(1), half, half, "relu")
    >>> float(block.advance(0, jnp.ones(1), jnp.zeros(0))[0])
    0.25
    """

    operator: AbstractOperator
    input_operator: AbstractOperator | None
    bias: Float[Array, " c"]
    step: Float[Array, ""]
    leak: Float[Array, ""]
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        require_arrays(bias=self.bias, step=self.step, leak=self.leak)
        check_bias(self.bias, self.input_operator, self.operator.output_size)
        check_number("step", self.step)
        check_number("leak", self.leak)

    @property
    def state_size(self) -> int:
        """Length of the state."""
        return self.operator.input_size

    @property
    def input_size(self) -> int:
        """Length of the block's input."""
        return entering_size(self.input_operator)

    def enter(self, u: Input) -> Float[Array, " r"]:
        """`B u + b`."""
        return drive(self.input_operator, self.bias, self.operator.output_size, u)

    def respond(self, n: StepIndex, x: State, entering: Float[Array, " r"]) -> State:
        """The step from `x`; the same at every depth."""
        del n
        pulled = self.operator.adjoint(self.activation(self.operator(x) + entering))
        return (1 - self.step * self.leak) * x - self.step * pulled


class EquilibriumBlock(AbstractBlock):
    """`z+ = (1 - step) z + step phi(W z + B u + b)`: towards the solution of `z = phi(W z + ...)`.

    Where the weighted row sums `max_i (W_ii + sum_j |W_ij| s_j / s_i)` stay below 1 and `phi` has
    slopes in [0, 1], the solution is unique.

    **Arguments:** as for `ResidualBlock`, with `state_operator` W; `step` in (0, 1].

    **Raises:** `InputProblem` for sizes that do not fit.

    **Reference:** arXiv 2106.03194.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> weak = DenseOperator(jnp.array([[0.5]]))
    >>> block = EquilibriumBlock(weak, None, jnp.ones(1), jnp.array(1.0), "relu")
    >>> float(block.advance(0, jnp.array([2.0]), jnp.zeros(0))[0])
    2.0
    """

    state_operator: AbstractOperator
    input_operator: AbstractOperator | None
    bias: Float[Array, " c"]
    step: Float[Array, ""]
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_state_block(self)

    @property
    def state_size(self) -> int:
        """Length of the state."""
        return self.state_operator.output_size

    @property
    def input_size(self) -> int:
        """Length of the block's input."""
        return entering_size(self.input_operator)

    def enter(self, u: Input) -> State:
        """`B u + b`."""
        return drive(self.input_operator, self.bias, self.state_size, u)

    def respond(self, n: StepIndex, x: State, entering: State) -> State:
        """The averaged step from `x`; the same at every depth."""
        del n
        goal = self.activation(self.state_operator(x) + entering)
        return (1 - self.step) * x + self.step * goal


class UntiedBlock(AbstractBlock):
    """Blocks of one shape and input, one per depth: the weights change from step to step.

    Beyond the last block, the last one is repeated. Make one with `untie`.

    **Arguments:** `layers`, a block whose arrays have the depth as their first axis.
    """

    layers: AbstractBlock

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return jax.tree.leaves(self.layers)[0].shape[0]

    @property
    def state_size(self) -> int:
        """Length of the state."""
        return block_at(self, 0).state_size

    @property
    def input_size(self) -> int:
        """Length of the input, which all blocks share."""
        return block_at(self, 0).input_size

    def enter(self, u: Input) -> PyTree:
        """What the input adds to each block."""
        return jax.vmap(lambda layer: layer.enter(u))(self.layers)

    def respond(self, n: StepIndex, x: State, entering: PyTree) -> State:
        """The step of block `n`."""
        k = jnp.minimum(n, self.depth - 1)
        return block_at(self, k).respond(n, x, jax.tree.map(lambda a: a[k], entering))


def untie(blocks: Sequence[AbstractBlock]) -> UntiedBlock:
    """Blocks of one shape, one after the other in depth, each with the same input.

    **Raises:** `InputProblem` if there is none, or they differ in more than their numbers.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator
    >>> def relax(by):
    ...     return ResidualBlock(
    ...         DenseOperator(jnp.array([[-by]])), None, jnp.zeros(1), jnp.array(1.0), "relu"
    ...     )
    >>> untie([relax(0.5), relax(0.25)]).depth
    2
    """
    if not blocks:
        raise InputProblem("no block came; give at least one")
    first, *others = blocks
    shapes = [jax.tree.map(jnp.shape, eqx.filter(block, eqx.is_array)) for block in blocks]
    kinds = [jax.tree.structure(block) for block in blocks]
    if any(s != shapes[0] for s in shapes) or any(k != kinds[0] for k in kinds):
        raise InputProblem(
            "the blocks differ in kind, sizes, padding or activation; untie blocks that differ in "
            "their numbers alone"
        )
    return UntiedBlock(jax.tree.map(lambda *leaves: jnp.stack(leaves), first, *others))


def block_at(untied: UntiedBlock, k: StepIndex) -> AbstractBlock:
    """The block at depth `k`, counted from 0."""
    return jax.tree.map(lambda a: a[k], untied.layers)


def drive(
    operator: AbstractOperator | None, bias: Float[Array, " c"], size: int, u: Input
) -> State:
    """`B u + b`, with one number of `b` per channel of `size / c` entries."""
    spread = jnp.repeat(bias, size // bias.shape[0])
    return spread if operator is None else operator(u) + spread


def entering_size(operator: AbstractOperator | None) -> int:
    """Length of what enters by that operator, 0 without one."""
    return 0 if operator is None else operator.input_size


def check_state_block(block: ResidualBlock | EquilibriumBlock) -> None:
    """Refuse a block whose operators, bias and step do not fit each other."""
    require_arrays(bias=block.bias, step=block.step)
    check_square(block.state_operator)
    check_bias(block.bias, block.input_operator, block.state_operator.output_size)
    check_number("step", block.step)


def check_square(operator: AbstractOperator) -> None:
    """Refuse an operator that does not lead from states to states."""
    if not isinstance(operator, AbstractOperator):
        raise InputProblem(
            f"a {type(operator).__name__} came; give an operator, as DenseOperator(matrix)"
        )
    if operator.input_size != operator.output_size:
        raise InputProblem(
            f"the state operator leads from {operator.input_size} to {operator.output_size} "
            "numbers; give one from states to states"
        )


def check_bias(bias: Float[Array, " c"], operator: AbstractOperator | None, size: int) -> None:
    """Refuse a bias or an input operator that does not fit so many entries."""
    if bias.ndim != 1 or bias.shape[0] == 0 or size % bias.shape[0]:
        raise InputProblem(
            f"bias has shape {bias.shape}; give one number for each of {size} entries, or one per "
            "channel"
        )
    if operator is not None and operator.output_size != size:
        raise InputProblem(
            f"the input operator gives {operator.output_size} numbers, {size} are needed"
        )


def check_number(name: str, value: Float[Array, ""]) -> None:
    """Refuse an array with axes where one number is needed."""
    if value.shape:
        raise InputProblem(f"{name} has shape {value.shape}; give one number")
