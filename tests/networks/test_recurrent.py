"""Elman, GRU and LSTM cells against PyTorch's answers, which torch_reference.json holds."""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import (
    GRU,
    LSTM,
    Elman,
    RateNetwork,
    random_elman,
    random_gru,
    random_lstm,
)

REFERENCE = json.loads(Path(__file__).with_name("torch_reference.json").read_text(encoding="utf-8"))
CASES = REFERENCE["cases"]
CELLS = {"rnn_tanh": Elman, "rnn_relu": Elman, "gru": GRU, "lstm": LSTM, "gru_float32": GRU}
GATES = {Elman: 1, GRU: 3, LSTM: 4}
# Sums of 8 products differ by their order: some units in the last place, kept over 7 steps.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}

Cell = Elman | GRU | LSTM


def build(name: str) -> Cell:
    case = CASES[name]
    tensors = {key: jnp.array(value, case["dtype"]) for key, value in case["weights"].items()}
    if name == "rnn_relu":
        return Elman(**tensors, activation="relu")  # pyright: ignore[reportArgumentType]
    return CELLS[name](**tensors)


def zeros(cell: type[Cell], shapes: list[tuple[int, ...]]) -> Cell:
    weight_ih, weight_hh, bias_ih, bias_hh = (jnp.zeros(shape) for shape in shapes)
    return cell(weight_ih, weight_hh, bias_ih, bias_hh)


def run(cell: Cell, initial: jax.Array, inputs: jax.Array) -> np.ndarray:
    """The states after each step, shape (steps, state_size)."""

    def step(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        following = cell.advance(0, x, u)
        return following, following

    return np.asarray(jax.lax.scan(step, initial, inputs)[1])


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_same_states_as_pytorch(name: str):
    case, cell = CASES[name], build(name)
    initial = jnp.array(case["initial"], case["dtype"])
    inputs = jnp.array(case["inputs"], case["dtype"])
    states = np.stack([run(cell, x, u) for x, u in zip(initial, inputs, strict=True)])
    hidden = states[:, :, :5]
    assert states.dtype == case["dtype"] and hidden.shape == (2, 7, 5)
    tolerance = TOLERANCE[case["dtype"]]
    np.testing.assert_allclose(hidden, case["hidden"], rtol=0, atol=tolerance)
    if name == "lstm":
        np.testing.assert_allclose(states[:, -1, 5:], case["final_cell"], rtol=0, atol=tolerance)


def test_reference_exercises_every_tensor():
    """Parity would prove little if a bias were 0 or a unit saturated."""
    for case in CASES.values():
        assert all(np.abs(value).min() > 0 for value in case["weights"].values())
    assert REFERENCE["torch"].startswith("2.13.0")
    relu = np.array(CASES["rnn_relu"]["hidden"])
    assert (relu == 0).any() and (relu > 0).any()


@pytest.mark.parametrize("name", ["rnn_tanh", "gru", "lstm"])
@pytest.mark.parametrize("tensor", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_every_tensor_matters(name: str, tensor: str):
    case = CASES[name]
    tensors = {key: jnp.array(value) for key, value in case["weights"].items()}
    changed = CELLS[name](**{**tensors, tensor: 1.1 * tensors[tensor]})
    x, u = jnp.array(case["initial"][0]), jnp.array(case["inputs"][0][0])
    assert not np.allclose(changed.advance(0, x, u), build(name).advance(0, x, u))


def test_gru_biases_are_not_interchangeable():
    """The reset gate multiplies `bias_hh` of the new gate, but not `bias_ih`."""
    cell = build("gru")
    swapped = GRU(cell.weight_ih, cell.weight_hh, cell.bias_hh, cell.bias_ih)
    x, u = jnp.array(CASES["gru"]["initial"][0]), jnp.array(CASES["gru"]["inputs"][0][0])
    assert not np.allclose(swapped.advance(0, x, u), cell.advance(0, x, u))


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "softplus", "silu"])
def test_elman_is_one_euler_step_of_a_firing_rate_network(name: str):
    """With leak and step 1, `x + (-x + phi(..))` is the cell."""
    cell = build("rnn_tanh")
    assert isinstance(cell, Elman)
    elman = Elman(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, name)  # pyright: ignore[reportArgumentType]
    network = RateNetwork(
        cell.weight_hh,
        cell.weight_ih,
        cell.bias_ih + cell.bias_hh,
        activation=name,
        form="firing_rate",
    )
    x, u = jnp.array(CASES["rnn_tanh"]["initial"][0]), jnp.array(CASES["rnn_tanh"]["inputs"][0][0])
    np.testing.assert_allclose(elman.advance(0, x, u), x + network.velocity(0.0, x, u), atol=1e-14)


def test_closed_update_gate_keeps_the_gru_state():
    cell = GRU(
        jnp.zeros((6, 1)), jnp.zeros((6, 2)), jnp.array([0.0, 0, 900, 900, 5, 5]), jnp.zeros(6)
    )
    x = jnp.array([0.3, -0.8])
    assert np.array_equal(cell.advance(0, x, jnp.ones(1)), x)


def test_open_forget_gate_keeps_the_lstm_cell():
    """Input gate closed, forget and output gates open: `c` stays, `h` becomes `tanh(c)`."""
    bias = jnp.array([-900.0, -900, 900, 900, 3, 3, 900, 900])
    cell = LSTM(jnp.zeros((8, 1)), jnp.zeros((8, 2)), bias, jnp.zeros(8))
    following = cell.advance(0, jnp.array([0.1, 0.2, 0.5, -2.0]), jnp.ones(1))
    np.testing.assert_allclose(following, [*np.tanh([0.5, -2.0]), 0.5, -2.0], atol=1e-15)


def test_state_sizes():
    assert (build("rnn_tanh").state_size, build("gru").state_size, build("lstm").state_size) == (
        5, 5, 10,
    )  # fmt: skip
    assert {build(name).input_size for name in CASES} == {3}


@pytest.mark.parametrize(("draw", "gates"), [(random_elman, 1), (random_gru, 3), (random_lstm, 4)])
def test_random_cells_have_pytorchs_law(draw: Callable[..., Cell], gates: int):
    cell = draw(jax.random.key(3), 50, 40)
    bound = 50**-0.5
    entries = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(cell)])
    assert entries.size == gates * 50 * (40 + 50 + 2)
    assert np.abs(entries).max() <= bound
    # Uniform: variance bound^2 / 3; mean and variance within five standard deviations.
    z = entries / bound
    assert abs(z.mean()) < 5 * (1 / 3 / z.size) ** 0.5
    assert abs((z**2).mean() - 1 / 3) < 5 * (4 / 45 / z.size) ** 0.5
    again, other = draw(jax.random.key(3), 50, 40), draw(jax.random.key(4), 50, 40)
    assert np.array_equal(again.weight_hh, cell.weight_hh)
    assert not np.array_equal(other.weight_hh, cell.weight_hh)
    assert not np.array_equal(cell.bias_ih, cell.bias_hh)


def test_random_elman_takes_an_activation():
    assert random_elman(jax.random.key(0), 2, 1, "relu").activation.name == "relu"
    assert random_elman(jax.random.key(0), 2, 1).activation.name == "tanh"


@pytest.mark.parametrize("draw", [random_elman, random_gru, random_lstm])
@pytest.mark.parametrize("sizes", [(0, 1), (2, 0)])
def test_random_cells_need_units_and_inputs(draw: Callable[..., Cell], sizes: tuple[int, int]):
    message = refusal(lambda: draw(jax.random.key(0), *sizes))
    assert f"{sizes[0]} and {sizes[1]}" in message and "n >= 1" in message


@pytest.mark.parametrize("cell", [Elman, GRU, LSTM], ids=lambda cell: cell.__name__)
@pytest.mark.parametrize("wrong", range(4))
def test_tensors_must_fit(untyped: None, cell: type[Cell], wrong: int):
    rows = 2 * GATES[cell]
    shapes = [(rows, 3), (rows, 2), (rows,), (rows,)]
    assert zeros(cell, shapes).state_size == (4 if cell is LSTM else 2)
    shapes[wrong] = (rows + 1, *shapes[wrong][1:])
    message = refusal(lambda: zeros(cell, shapes))
    assert message.startswith(cell.__name__) and str(shapes[wrong]) in message
    assert f"({GATES[cell]}n, m)" in message and "PyTorch" in message


@pytest.mark.parametrize(
    "shapes",
    [[(2,), (2, 2), (2,), (2,)], [(2, 1), (2,), (2,), (2,)], [(0, 1), (0, 0), (0,), (0,)]],
)
def test_ranks_must_fit(untyped: None, shapes: list[tuple[int, ...]]):
    assert "Elman" in refusal(lambda: zeros(Elman, shapes))


def test_unknown_activation():
    cell = zeros(Elman, [(2, 1), (2, 2), (2,), (2,)])
    message = refusal(
        lambda: Elman(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, "step")
    )
    assert "'step'" in message and "tanh" in message
