"""The random memorisation task: say the number that came so many steps before the end."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from limitset._result import InputProblem

Count = int | Int[Array, ""]


class Recall(eqx.Module):
    """Sequences of unequal length, and what is asked at the end of each.

    **Arguments:** `inputs`, shape (b, t, 1), of which the first `lengths` count; `targets`, shape
    (b,).
    """

    inputs: Float[Array, "b t 1"]
    lengths: Int[Array, " b"]
    targets: Float[Array, " b"]


def draw_recall(
    key: Key[Array, ""], samples: int, *, position: Count, shortest: Count, longest: int
) -> Recall:
    """Random sequences, each asked for its number at `position`, counted back from its end.

    Numbers are independent and uniform between 0 and 1, lengths uniform from `shortest` to
    `longest`. A network starts from rest and stands still after its last number (`simulate_batch`
    with `lengths`), so that it cannot know when the end comes. Sequences of one length are another
    task: steps can be counted from the start, and the right number be kept. To start late, from
    rest, is the same as to end early; zeros as inputs are not, since biases move the state.

    Whoever always answers 1/2 has a mean absolute error of 1/4.

    **Arguments:**

    - `samples`: how many.
    - `position`: 1 is the last number; may be traced.
    - `shortest`: at least `position`; may be traced.
    - `longest`: at least `shortest`.

    **Raises:** `InputProblem` for counts that do not fit.

    **Example:**

    >>> import jax
    >>> drawn = draw_recall(jax.random.key(0), 3, position=2, shortest=2, longest=9)
    >>> drawn.inputs.shape, drawn.lengths.shape
    ((3, 9, 1), (3,))

    **Reference:** arXiv 2212.11085.
    """
    traced = isinstance(position, Tracer) or isinstance(shortest, Tracer)
    if not traced and not (samples >= 1 and 1 <= position <= shortest <= longest):
        raise InputProblem(
            f"{samples} sequences of {shortest} to {longest} numbers cannot be asked for position "
            f"{position}; give 1 <= position <= shortest <= longest"
        )
    number_key, length_key = jax.random.split(key)
    numbers = jax.random.uniform(number_key, (samples, longest), jnp.float32)
    lengths = jax.random.randint(length_key, (samples,), shortest, longest + 1)
    asked = (lengths - position)[:, None]
    return Recall(numbers[..., None], lengths, jnp.take_along_axis(numbers, asked, 1)[:, 0])


def memory_border(layers: int, cells: int) -> int:
    """The last position that a stack of recurrent layers is expected to recall.

        p* = layers (cells - 1) + 1

    Each layer is a delay line of `cells` numbers and passes all of them up in the same step, so
    that a layer adds `cells - 1` delays. For linear units it is a theorem that no weights reach
    further (Memory distance in the manual); tanh units are seen to stop there, and
    `limitset.networks.delay_line` reaches it.

    **Raises:** `InputProblem` for counts below 1.

    >>> [memory_border(layers, 3) for layers in (1, 2, 3)]
    [3, 5, 7]

    **Reference:** arXiv 2212.11085.
    """
    if not (layers >= 1 and cells >= 1):
        raise InputProblem(f"{layers} layers of {cells} cells are no network; give at least 1")
    return layers * (cells - 1) + 1
