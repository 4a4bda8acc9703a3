"""Cells one above the other, and the line of delays that they can be."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.dynamics import simulate
from limitset.networks import (
    TANH,
    CellStack,
    Elman,
    LinearReadout,
    delay_line,
    hidden_size,
    random_elman,
    random_gru,
    random_lstm,
)
from limitset.training import memory_border

DRAWS: list[Callable[..., Elman]] = [random_elman, random_gru, random_lstm]  # pyright: ignore[reportAssignmentType]


@pytest.fixture
def untyped() -> Iterator[None]:
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def drawn(draw: Callable[..., Elman], layers: int = 3, units: int = 4) -> CellStack:
    keys = jax.random.split(jax.random.key(1), layers)
    return CellStack([draw(key, units, units if i else 2) for i, key in enumerate(keys)])


@pytest.mark.parametrize("draw", DRAWS)
def test_each_layer_hears_what_the_one_below_has_just_become(draw: Callable[..., Elman]):
    stack = drawn(draw)
    inputs = jax.random.normal(jax.random.key(2), (6, 2))
    states = simulate(stack, jnp.zeros(stack.state_size), inputs).states
    heard = own = inputs
    for cell in stack.layers:
        own = simulate(cell, jnp.zeros(cell.state_size), heard).states
        heard = own[:, : hidden_size(cell)]
    # The last layer's states end the state of the stack; a readout sees the hidden half of an LSTM.
    assert np.allclose(states[:, -own.shape[1] :], own, atol=1e-14)
    assert np.array_equal(stack.top(states), states[:, -own.shape[1] :][:, :4])


def test_layers_that_do_not_fit(untyped: None):
    del untyped
    cell = random_elman(jax.random.key(0), 3, 2)
    for layers, words in (
        ([], "at least one"),
        (None, "a tuple or a list"),
        ([cell, cell], "make them equal"),
        ([LinearReadout(jnp.zeros((1, 2)), jnp.zeros(1))], "LinearReadout"),
        ([cell, jax.tree.map(jnp.float32, random_elman(jax.random.key(0), 3, 3))], "dtypes"),
    ):
        with pytest.raises(InputProblem, match=words):
            CellStack(layers)  # pyright: ignore[reportArgumentType]


def says(stack: CellStack, readout: LinearReadout, inputs: np.ndarray) -> np.ndarray:
    """What is read out after each step, from rest, computed anew from the weights."""
    cells = [
        (np.asarray(cell.weight_ih), np.asarray(cell.weight_hh), np.asarray(cell.bias_hh))
        for cell in stack.layers
    ]
    activation = np.tanh if stack.layers[0].activation == TANH else lambda v: v  # pyright: ignore[reportAttributeAccessIssue]
    states = [np.zeros(len(bias)) for _, _, bias in cells]
    said = []
    for u in inputs:
        heard = np.array([u])
        for k, (entering, turning, bias) in enumerate(cells):
            heard = states[k] = activation(entering @ heard + turning @ states[k] + bias)
        said.append((np.asarray(readout.weight) @ heard).item())
    return np.array(said)


@pytest.mark.parametrize("layers", range(1, 6))
@pytest.mark.parametrize("cells", range(1, 9))
def test_organism_delay_line_attains_the_border(layers: int, cells: int):
    """It says the input at the border; the error falls with the square of the scale."""
    border = memory_border(layers, cells)
    inputs = np.random.default_rng(0).uniform(-1, 1, border + 40)
    expected = np.concatenate([np.zeros(border - 1), inputs[: len(inputs) - border + 1]])
    errors = []
    for scale in (0.1, 0.01, 0.001):
        stack, readout = delay_line(layers, cells, scale)
        assert stack.state_size == layers * cells
        errors.append(np.abs(says(stack, readout, inputs) - expected).max())
        assert errors[-1] <= layers * cells * scale**2 / 3 + 1e-12
    assert errors[1] < 0.015 * errors[0] and errors[2] < 0.015 * errors[1]


def test_delay_lines_run_as_all_maps_do():
    stack, readout = delay_line(2, 3, 0.1)
    inputs = np.random.default_rng(0).uniform(size=8)
    states = simulate(stack, jnp.zeros(6), jnp.asarray(inputs)[:, None]).states
    answers = jax.vmap(readout)(stack.top(states))[:, 0]
    assert np.allclose(answers, says(stack, readout, inputs), atol=1e-14)


def test_delay_line_of_linear_units_is_exact():
    line, readout = delay_line(3, 4)
    linear = CellStack(
        [Elman(c.weight_ih, c.weight_hh, c.bias_ih, c.bias_hh, "identity") for c in line.layers]  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    )
    inputs = np.random.default_rng(0).uniform(size=30)
    assert np.array_equal(says(linear, readout, inputs)[9:], inputs[:-9])


@pytest.mark.parametrize(("layers", "cells"), [(1, 1), (1, 4), (2, 3), (3, 2), (4, 3)])
def test_linear_stacks_have_no_longer_delays(layers: int, cells: int):
    """The response times all characteristic polynomials is of degree `layers (cells - 1)`.

    So a pure delay, whose response is a power, is at most that power.
    """
    rng = np.random.default_rng(layers * 10 + cells)
    turning = rng.normal(size=(layers, cells, cells)) / cells
    entering = [rng.normal(size=(cells, cells if k else 1)) for k in range(layers)]
    read = rng.normal(size=(1, cells))
    count = layers * cells + 4
    values = []
    for w in np.exp(2j * np.pi * np.arange(count) / count):
        signal = np.ones((1, 1))
        for weight, enter in zip(turning, entering, strict=True):
            signal = np.linalg.solve(np.eye(cells) - w * weight, enter @ signal)
            signal = signal * np.linalg.det(np.eye(cells) - w * weight)
        values.append((read @ signal).item())
    powers = np.abs(np.fft.fft(values) / count)
    border = memory_border(layers, cells)
    assert powers[border:].max() < 1e-12 * powers.max() < powers[border - 1]


@pytest.mark.parametrize("numbers", [(0, 2, 0.1), (2, 0, 0.1), (1, 1, 0.0), (1, 1, float("nan"))])
def test_numbers_that_make_no_line(numbers: tuple[int, int, float]):
    with pytest.raises(InputProblem, match="no delay line"):
        delay_line(*numbers)
