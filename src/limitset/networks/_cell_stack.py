"""Cells one above the other, as `torch.nn.RNN(num_layers=l)` has them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_several
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks._activation import TANH
from limitset.networks._readout import LinearReadout
from limitset.networks._recurrent import GRU, LSTM, Elman

Cell = Elman | GRU | LSTM


class CellStack(AbstractMap):
    """Layers of cells: each hears what the one below has just become, the first the input.

    `x_1+ = F_1(x_1, u)`, `x_k+ = F_k(x_k, h(x_(k-1)+))`, where `h` is the hidden state: all of the
    state of `Elman` and `GRU`, the first half of that of `LSTM`. The state is the concatenation of
    the layers' states. There is no residual stream; `Stack` has one.

    **Example:**

    >>> import jax.numpy as jnp
    >>> keep = Elman(jnp.ones((1, 1)), jnp.zeros((1, 1)), jnp.zeros(1), jnp.zeros(1), "identity")
    >>> CellStack((keep, keep)).advance(0, jnp.zeros(2), jnp.array([3.0])).tolist()
    [3.0, 3.0]
    """

    layers: tuple[Cell, ...]

    def __init__(self, layers: tuple[Cell, ...] | list[Cell]) -> None:
        """**Arguments:** `layers`, lowest first; each has as many inputs as the one below has
        hidden units.

        **Raises:** `InputProblem` if there are none, or sizes or dtypes do not fit.
        """
        require_several("layers", layers)
        self.layers = tuple(layers)

    def __check_init__(self) -> None:
        if not self.layers or not all(isinstance(cell, Cell) for cell in self.layers):
            kinds = [type(cell).__name__ for cell in self.layers]
            raise InputProblem(f"layers are {kinds}; give at least one Elman, GRU or LSTM cell")
        for index, (below, cell) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if cell.input_size != hidden_size(below):
                raise InputProblem(
                    f"layer {index + 1} has {cell.input_size} inputs and the one below "
                    f"{hidden_size(below)} hidden units; make them equal"
                )
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(self)}
        if len(dtypes) > 1:
            raise InputProblem(f"layers have dtypes {sorted(map(str, dtypes))}; convert all to one")

    @property
    def state_size(self) -> int:
        """Number of states of all layers together."""
        return sum(cell.state_size for cell in self.layers)

    @property
    def input_size(self) -> int:
        """Number of inputs of the first layer."""
        return self.layers[0].input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state, lowest layer first; `n` is not used."""
        following, start = [], 0
        for cell in self.layers:
            following.append(cell.advance(n, x[start : start + cell.state_size], u))
            start, u = start + cell.state_size, following[-1][: hidden_size(cell)]
        return jnp.concatenate(following)

    def top(self, x: Float[Array, "*t n"]) -> Float[Array, "*t k"]:
        """The hidden state of the last layer, which a readout sees; of one state or of many."""
        last = self.layers[-1]
        start = self.state_size - last.state_size
        return x[..., start : start + hidden_size(last)]


def hidden_size(cell: Cell) -> int:
    """Number of hidden units: an LSTM has two states for each."""
    return cell.state_size // 2 if isinstance(cell, LSTM) else cell.state_size


def delay_line(layers: int, cells: int, scale: float = 2.0**-10) -> tuple[CellStack, LinearReadout]:
    """A stack of tanh cells that says the input of `layers (cells - 1)` steps ago.

    In each layer unit 0 hears the last unit of the layer below, in the same step, and every other
    unit what the one before it was a step ago. A number passes `layers * cells` units, each of them
    a tanh of `scale` times it, and `|x - tanh x| <= |x|^3 / 3`: for inputs in [-1, 1] the answer is
    wrong by at most `layers * cells * scale^2 / 3`, and by rounding. From rest it says 0 until the
    first input comes out.

    **Arguments:** `layers`, `cells` per layer, 1 or more; `scale` of the states, positive.

    **Returns:** the stack, with one input, and the readout of its last layer (`CellStack.top`).

    **Raises:** `InputProblem` for numbers that make no line.

    **Example:**

    >>> import jax.numpy as jnp
    >>> line, readout = delay_line(2, 2)
    >>> x = jnp.zeros(4)
    >>> for n, u in enumerate((0.5, 0.25, 0.75)):
    ...     x = line.advance(n, x, jnp.array([u]))
    >>> round(float(readout(line.top(x))[0]), 6)
    0.5

    **Reference:** arXiv 2212.11085, whose border it attains.
    """
    if not (layers >= 1 and cells >= 1 and 0 < scale < float("inf")):
        raise InputProblem(
            f"{layers} layers of {cells} cells at scale {scale} make no delay line; give 1 or "
            "more of both, and a positive scale"
        )
    shift, silent = np.eye(cells, k=-1), np.zeros(cells)
    first, above, last = np.zeros((cells, 1)), np.zeros((cells, cells)), np.zeros((1, cells))
    first[0, 0], above[0, -1], last[0, -1] = scale, 1.0, 1 / scale
    entering = [first, *[above] * (layers - 1)]
    stack = CellStack([_tanh_cell(weight, shift, silent) for weight in entering])
    return stack, LinearReadout(jnp.asarray(last), jnp.asarray(np.zeros(1)))


def _tanh_cell(
    weight_ih: Float[np.ndarray, "n m"],
    weight_hh: Float[np.ndarray, "n n"],
    bias: Float[np.ndarray, " n"],
) -> Elman:
    parts = (jnp.asarray(part) for part in (weight_ih, weight_hh, bias, bias))
    return Elman(*parts, activation=TANH)
