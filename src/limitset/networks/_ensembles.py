"""Random networks of the ensembles that mean-field theory speaks of."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.networks._gated_network import GatedNetwork
from limitset.networks._gated_parameters import GatedParameters
from limitset.networks._recurrent import GRU, LSTM
from limitset.networks._reset_before_gru import ResetBeforeGRU

# Traced numbers pass: ensembles over many gains go by vmap.
Number = float | Float[Array, ""]


def random_gated_network(
    key: Key[Array, ""],
    size: int,
    parameters: GatedParameters,
    *,
    input_size: int = 0,
    input_variance: Number = 0.0,
) -> GatedNetwork:
    """A gated network whose three matrices have independent entries `N(0, 1/n)`.

    **Arguments:**

    - `size`: the number of units `n`.
    - `parameters`: gains, biases and time constants.
    - `input_size`: the number of time-dependent inputs `m`; their weights into `h` are
      `N(0, 1/m)`, and none enters `z` or `r`.
    - `input_variance`: of the constant inputs to `h`, independent Gaussian numbers.

    **Returns:** a `GatedNetwork`.

    **Raises:** `InputProblem` for sizes below 1 or a negative variance.

    >>> import jax
    >>> random_gated_network(jax.random.key(0), 5, GatedParameters()).state_size
    15

    **Reference:** arXiv 2007.14823.
    """
    _check_sizes(size, input_size)
    traced = isinstance(input_variance, Tracer)
    if not traced and not 0 <= input_variance < float("inf"):
        raise InputProblem(f"input_variance is {input_variance}; give a number, 0 or positive")
    keys = jax.random.split(key, 5)
    state, update, output = (_gaussian(k, (size, size), 1.0) for k in keys[:3])
    entering = _gaussian(keys[4], (size, input_size), 1.0)
    return GatedNetwork(
        state,
        update,
        output,
        parameters,
        state_input=input_variance**0.5 * jax.random.normal(keys[3], (size,)),
        input_weight=jnp.concatenate([entering, jnp.zeros((2 * size, input_size))]),
    )


def gaussian_gru(
    key: Key[Array, ""],
    size: int,
    *,
    gain: Number,
    update_gain: Number = 0.0,
    reset_gain: Number = 0.0,
    bias: Number = 0.0,
    update_bias: Number = 0.0,
    reset_bias: Number = 0.0,
    input_size: int = 0,
) -> GRU:
    """A `GRU` (reset gate after the product) with entries `N(0, a^2/n)`, a gain for each gate.

    **Arguments:**

    - `size`: the number of units `n`.
    - `gain`, `update_gain`, `reset_gain`: `a` of the candidate, the update and the reset gate.
    - `bias`, `update_bias`, `reset_bias`: one number each for all units, in `bias_hh`; a positive
      `update_bias` keeps. `bias` is inside the reset gate's product.
    - `input_size`: the number of inputs `m`, with weights `N(0, 1/m)`.

    **Returns:** a `GRU`.

    **Raises:** `InputProblem` for sizes below 1 or numbers that are not finite.

    >>> import jax
    >>> gaussian_gru(jax.random.key(0), 4, gain=2.5).weight_hh.shape
    (12, 4)

    **Reference:** arXiv 2002.00025.
    """
    weights = _blocks(key, size, input_size, (reset_gain, update_gain, gain))
    biases = _levels(size, (reset_bias, update_bias, bias))
    return GRU(*weights, jnp.zeros(3 * size), biases)


def gaussian_reset_before_gru(
    key: Key[Array, ""],
    size: int,
    *,
    gain: Number,
    update_gain: Number = 0.0,
    reset_gain: Number = 0.0,
    bias: Number = 0.0,
    update_bias: Number = 0.0,
    reset_bias: Number = 0.0,
    input_size: int = 0,
) -> ResetBeforeGRU:
    """A `ResetBeforeGRU` with entries `N(0, a^2/n)`, a gain for each gate.

    **Arguments:** as in `gaussian_gru`.

    **Returns:** a `ResetBeforeGRU`.

    **Raises:** `InputProblem` for sizes below 1 or numbers that are not finite.

    >>> import jax
    >>> gaussian_reset_before_gru(jax.random.key(0), 4, gain=2.5, reset_gain=5.0).state_size
    4

    **Reference:** arXiv 2002.00025.
    """
    weights = _blocks(key, size, input_size, (reset_gain, update_gain, gain))
    return ResetBeforeGRU(*weights, _levels(size, (reset_bias, update_bias, bias)))


def gaussian_lstm(
    key: Key[Array, ""],
    size: int,
    *,
    cell_gain: Number,
    input_gain: Number = 0.0,
    forget_gain: Number = 0.0,
    output_gain: Number = 0.0,
    cell_bias: Number = 0.0,
    input_bias: Number = 0.0,
    forget_bias: Number = 0.0,
    output_bias: Number = 0.0,
    input_size: int = 0,
) -> LSTM:
    """An `LSTM` with entries `N(0, a^2/n)`, a gain for each gate.

    **Arguments:**

    - `size`: the number of units `n`.
    - `cell_gain`, `input_gain`, `forget_gain`, `output_gain`: `a` of the candidate `g` and of the
      gates.
    - `cell_bias`, `input_bias`, `forget_bias`, `output_bias`: one number each for all units.
    - `input_size`: the number of inputs `m`, with weights `N(0, 1/m)`.

    **Returns:** an `LSTM`.

    **Raises:** `InputProblem` for sizes below 1 or numbers that are not finite.

    >>> import jax
    >>> gaussian_lstm(jax.random.key(0), 4, cell_gain=2.5, forget_bias=1.0).state_size
    8

    **Reference:** arXiv 2002.00025.
    """
    gains = (input_gain, forget_gain, cell_gain, output_gain)
    weights = _blocks(key, size, input_size, gains)
    biases = _levels(size, (input_bias, forget_bias, cell_bias, output_bias))
    return LSTM(*weights, jnp.zeros(4 * size), biases)


def random_reset_before_gru(
    key: Key[Array, ""], state_size: int, input_size: int
) -> ResetBeforeGRU:
    """A `ResetBeforeGRU` with the initial law of `random_gru`: all entries uniform in +-1/sqrt(n).

    **Raises:** `InputProblem` for sizes below 1.

    >>> import jax
    >>> random_reset_before_gru(jax.random.key(0), 4, 2).weight_ih.shape
    (12, 2)
    """
    if input_size < 1:
        raise InputProblem(f"input_size is {input_size}; use m >= 1 inputs")
    _check_sizes(state_size, input_size)
    bound = state_size**-0.5
    shapes = [(3 * state_size, input_size), (3 * state_size, state_size), (3 * state_size,)]
    return ResetBeforeGRU(
        *(
            jax.random.uniform(k, shape, minval=-bound, maxval=bound)
            for k, shape in zip(jax.random.split(key, 3), shapes, strict=True)
        )
    )


def _blocks(
    key: Key[Array, ""], size: int, input_size: int, gains: tuple[Number, ...]
) -> tuple[Float[Array, "gates m"], Float[Array, "gates n"]]:
    """`weight_ih` and `weight_hh`, a block of rows for each gain."""
    _check_sizes(size, input_size)
    _check_finite(gains)
    input_key, *keys = jax.random.split(key, 1 + len(gains))
    entering = _gaussian(input_key, (len(gains) * size, input_size), 1.0)
    blocks = [_gaussian(k, (size, size), a) for k, a in zip(keys, gains, strict=True)]
    return entering, jnp.concatenate(blocks)


def _levels(size: int, levels: tuple[Number, ...]) -> Float[Array, " gates"]:
    _check_finite(levels)
    return jnp.repeat(jnp.asarray(levels, jnp.float64), size)


def _gaussian(key: Key[Array, ""], shape: tuple[int, int], gain: Number) -> Float[Array, "r c"]:
    return gain / max(shape[1], 1) ** 0.5 * jax.random.normal(key, shape)


def _check_sizes(size: int, input_size: int) -> None:
    if size < 1 or input_size < 0:
        raise InputProblem(
            f"sizes {size} and {input_size} make no network; use n >= 1 units, m >= 0 inputs"
        )


def _check_finite(numbers: tuple[Number, ...]) -> None:
    for number in numbers:
        if not isinstance(number, Tracer) and not abs(number) < float("inf"):
            raise InputProblem(f"a gain or bias is {number}; give a finite number")
