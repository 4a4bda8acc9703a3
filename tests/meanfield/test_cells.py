"""Random GRU and LSTM cells: fixed points, boundaries, edges of initialisations."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError

from limitset import InputProblem
from limitset.meanfield import (
    GRUEnsemble,
    LSTMEnsemble,
    ResetAfterGRUEnsemble,
    cell_fixed_points,
    cell_slow_fraction,
    edge_of_initialisation,
    fixed_points,
    outside_fraction,
    spectral_boundary,
)
from limitset.networks import GatedParameters, random_gru

THIRD = 3**-0.5

DEFAULTS = [
    ("gru", THIRD, {}, 0.6443),
    ("gru_reset_after", THIRD, {}, 0.6443),
    ("lstm", THIRD, {}, 0.6443),
    ("lstm", THIRD, {"forget": 1.0}, 0.8754),
    ("lstm", THIRD, {"forget": 2.0}, 1.0251),
    ("gru", 1.0, {}, 0.75),
    ("lstm", 1.0, {}, 0.75),
    ("lstm", 1.0, {"forget": 1.0}, 0.9811),
    ("lstm", 1.0, {"forget": 2.0}, 1.1308),
]


@pytest.mark.parametrize(("kind", "gain", "biases", "expected"), DEFAULTS)
def test_gating_22_default_initialisations(
    kind: str, gain: float, biases: dict[str, float], expected: float
):
    assert round(edge_of_initialisation(kind, gain, biases), 4) == expected


def test_gating_22_the_edge_is_that_of_the_spectrum_at_zero():
    """The closed form and the traced boundary of the same cells."""
    for cell in (
        GRUEnsemble(THIRD, 0.5, 0.5, update_bias=0.7, reset_bias=-0.3),
        ResetAfterGRUEnsemble(THIRD, 0.5, 0.5, update_bias=0.7, reset_bias=-0.3),
        LSTMEnsemble(THIRD, 0.5, 0.5, 0.5, forget_bias=1.0, output_bias=0.2),
    ):
        at_zero = cell.spectrum(jnp.zeros(()))
        assert float(at_zero.stability_number()) < 1
        end = spectral_boundary(at_zero, points=5).right_end
        assert math.isclose(end, float(cell.zero_edge()), rel_tol=1e-9)


def test_critical_candidate_gains_of_lstms():
    expected = {-1.0: 2.9242, 0.0: 2.0, 1.0: 1.07577, 2.0: 0.47681, 3.0: 0.18970}
    for forget, critical in expected.items():
        edge = edge_of_initialisation("lstm", critical, {"forget": forget})
        assert math.isclose(edge, 1.0, abs_tol=2e-5)
    assert edge_of_initialisation("lstm", THIRD, {"forget": 1.79}) > 1
    assert edge_of_initialisation("lstm", THIRD, {"forget": 1.77}) < 1


def test_fixed_points_of_a_gru_are_those_of_a_gated_network():
    cell = GRUEnsemble(1.9, 10.0, 3.0)
    points = cell_fixed_points(cell)
    network = fixed_points(GatedParameters(gain=1.9, output_gain=10.0))
    assert [p.branch for p in points] == [p.branch for p in network]
    for mine, theirs in zip(points, network, strict=True):
        assert math.isclose(mine.hidden_variance, theirs.gate_variance, rel_tol=1e-9)
        assert math.isclose(mine.stability_number, theirs.stability_number, rel_tol=1e-9)


# Gains of candidate, reset and update gate; K and edge.
GRU = [
    ((2.5, 0.0, 0.0), 1.04819, 1.0119),
    ((3.0, 5.0, 0.0), 2.05145, 1.2161),
    ((3.0, 5.0, 10.0), 2.05145, 1.0918),
    ((4.0, 2.0, 0.5), 1.88257, 1.1821),
]


@pytest.mark.parametrize(("gains", "number", "edge"), GRU)
def test_gating_22_gru_boundaries(gains: tuple[float, ...], number: float, edge: float):
    point = cell_fixed_points(GRUEnsemble(*gains))[-1]
    assert math.isclose(point.stability_number, number, abs_tol=1e-5)
    end = spectral_boundary(point.spectrum, points=5).right_end
    assert math.isclose(end, edge, abs_tol=1e-4)


def test_gating_22_reset_after_is_another_cell():
    for gains, edge in (((3.0, 5.0, 0.0), 1.1423), ((3.0, 5.0, 10.0), 1.0407)):
        point = cell_fixed_points(ResetAfterGRUEnsemble(*gains))[-1]
        assert math.isclose(point.hidden_variance, 0.29027, abs_tol=1e-5)
        assert math.isclose(point.stability_number, 1.6504, abs_tol=1e-4)
        end = spectral_boundary(point.spectrum, points=5).right_end
        assert math.isclose(end, edge, abs_tol=1e-4)
    for reset, first in ((5.0, 1.96), (10.0, 1.83), (20.0, 1.69)):
        counts = [
            len(cell_fixed_points(ResetAfterGRUEnsemble(first + d, reset, 0.0)))
            for d in (-0.01, 0.0)
        ]
        assert counts == [1, 3]


# Gains of candidate, input, forget and output gate, forget bias; <h^2> and edge, from 2e7 samples
# (the first one in closed form, by one integral).
LSTM = [
    ((2.5, 0.0, 0.0, 0.0), 0.0, 0.0272416, 1.011402),
    pytest.param((3.0, 1.0, 1.0, 1.0), 0.0, 0.05022, 1.04137, marks=pytest.mark.slow),
    pytest.param((1.2, 1.0, 1.0, 1.0), 1.0, 0.02414, 1.00486, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("gains", "bias", "variance", "edge"), LSTM)
def test_gating_22_lstm_boundaries(
    gains: tuple[float, ...], bias: float, variance: float, edge: float
):
    point = cell_fixed_points(LSTMEnsemble(*gains, forget_bias=bias))[-1]
    assert math.isclose(point.hidden_variance, variance, abs_tol=2e-5)
    end = spectral_boundary(point.spectrum, points=5).right_end
    assert math.isclose(end, edge, abs_tol=5e-5)


def logistic(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 1 / (1 + np.exp(-x))


def gru_eigenvalues(cell: GRUEnsemble, q: float, n: int, seed: int) -> np.ndarray:
    """Of fresh matrices, at a state with the law of the fixed point."""
    rng = np.random.default_rng(seed)
    gains = [float(g) for g in (cell.candidate_gain, cell.reset_gain, cell.update_gain)]
    uh, ur, _ = (g * rng.standard_normal((n, n)) / math.sqrt(n) for g in gains)
    z = logistic(gains[2] * math.sqrt(q) * rng.standard_normal(n))
    r = logistic(gains[1] * math.sqrt(q) * rng.standard_normal(n))
    drive = gains[0] * math.sqrt(q * (r**2).mean()) * rng.standard_normal(n)
    h = np.tanh(drive)
    through = uh @ (np.diag(r) + np.diag(h * r * (1 - r)) @ ur)
    return np.linalg.eigvals(np.diag(z) + ((1 - z) * (1 - h**2))[:, None] * through)


@pytest.mark.parametrize("gains", [(3.0, 5.0, 10.0), (4.0, 2.0, 0.5)])
def test_gating_22_eigenvalues_of_grus(gains: tuple[float, ...]):
    cell = GRUEnsemble(*gains)
    point = cell_fixed_points(cell)[-1]
    eigenvalues = gru_eigenvalues(cell, point.hidden_variance, 300, seed=0)
    assert outside_fraction(point.spectrum, eigenvalues, margin=0.06) <= 0.01
    half = GRUEnsemble(gains[0] / 2, 0.0, gains[2])
    other = cell_fixed_points(half)[0]
    assert outside_fraction(other.spectrum, eigenvalues, margin=0.06) > 0.05


@pytest.mark.slow
def test_gating_22_eigenvalues_of_lstms():
    """States of 2n numbers; half of the eigenvalues vanish or nearly so."""
    cell = LSTMEnsemble(3.0, 1.0, 1.0, 1.0)
    point = cell_fixed_points(cell)[-1]
    n, root, rng = 500, math.sqrt(point.hidden_variance), np.random.default_rng(1)
    ug, ui, uf, uo = (
        gain * rng.standard_normal((n, n)) / math.sqrt(n) for gain in (3.0, 1.0, 1.0, 1.0)
    )
    g = np.tanh(3 * root * rng.standard_normal(n))
    i, f, o = logistic(root * rng.standard_normal((3, n)))
    c = i * g / (1 - f)
    into_cell = (
        (c * f * (1 - f))[:, None] * uf
        + (g * i * (1 - i))[:, None] * ui
        + (i * (1 - g**2))[:, None] * ug
    )
    says = (o / np.cosh(c) ** 2)[:, None]
    jacobian = np.block(
        [
            [says * into_cell + (np.tanh(c) * o * (1 - o))[:, None] * uo, says * np.diag(f)],
            [into_cell, np.diag(f)],
        ]
    )
    eigenvalues = np.linalg.eigvals(jacobian)
    assert outside_fraction(point.spectrum, eigenvalues, margin=0.06) <= 0.01
    right = spectral_boundary(point.spectrum, points=5).right_end
    assert math.isclose(eigenvalues.real.max(), right, rel_tol=0.03)


def test_slow_units():
    cell = GRUEnsemble(3.0, 5.0, 10.0, update_bias=1.0)
    point = cell_fixed_points(cell)[-1]
    x = np.random.default_rng(0).standard_normal(400_000)
    z = logistic(10 * math.sqrt(point.hidden_variance) * x + 1.0)
    assert math.isclose(cell_slow_fraction(point, 0.05), (z > 0.95).mean(), abs_tol=3e-3)
    assert cell_slow_fraction(cell_fixed_points(cell)[0], 0.05) == 0.0
    with pytest.raises(InputProblem, match="width"):
        cell_slow_fraction(point, 1.0)


def test_unusable_inputs():
    with pytest.raises(InputProblem, match="one of gru"):
        edge_of_initialisation("elman", 1.0)
    with pytest.raises(InputProblem, match="a gru has reset, update"):
        edge_of_initialisation("gru", 1.0, {"forget": 1.0})
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(InputProblem, match="gain"):
            edge_of_initialisation("gru", bad)
        with pytest.raises(InputProblem, match="candidate_gain"):
            cell_fixed_points(GRUEnsemble(bad))
    with pytest.raises((InputProblem, TypeCheckError)):
        cell_fixed_points("gru")  # pyright: ignore[reportArgumentType]


def test_gating_22_a_cell_drawn_as_pytorch_does_has_the_edge():
    """512 units, without biases: the edge varies by about 1 / sqrt(512) of the bulk's radius."""
    none = jnp.zeros(3 * 512)
    drawn = random_gru(jax.random.key(0), 512, 1)
    cell = eqx.tree_at(lambda c: (c.bias_ih, c.bias_hh), drawn, (none, none))
    jacobian = jax.jacfwd(lambda x: cell.advance(jnp.asarray(0), x, jnp.zeros(1)))(jnp.zeros(512))
    measured = np.abs(np.linalg.eigvals(np.asarray(jacobian))).max()
    expected = edge_of_initialisation("gru_reset_after", THIRD)
    assert math.isclose(measured, expected, abs_tol=2 * (expected - 0.5) / math.sqrt(512))
