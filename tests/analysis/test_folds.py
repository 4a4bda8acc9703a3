"""Candidates of folds: known ones are found and proved, nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import RateNetwork
from limitset.analysis import find_equilibria
from limitset.analysis._folds import FoldCandidate, find_folds, polish_fold
from limitset.networks import RateFamily
from limitset.proofs import Fold, prove_fold


def unit(x: jax.Array, b: jax.Array) -> jax.Array:
    return b - x + 2 * jnp.tanh(x)


def test_both_folds_of_one_unit_are_found_and_proved():
    found = find_folds(unit, [np.array([-3.0])], (-1.0, 1.0))
    assert [c.parameter for c in found] == pytest.approx(
        [-0.532839975353552, 0.532839975353552], abs=1e-12
    )
    for candidate, sign in zip(found, (1, -1), strict=True):
        assert candidate.state[0] == pytest.approx(sign * 0.881373587019543, abs=1e-12)
        fold = prove_fold(unit, candidate.parameter, candidate.state, candidate.vector)
        assert isinstance(fold, Fold) and fold.equilibria_above == (sign == 1)


def test_folds_of_a_network_are_proved():
    """Strong self-excitation with bias: the equilibria of gain 3 meet as the gain falls."""
    rng = np.random.default_rng(5)
    weight = np.eye(4) + 0.4 * rng.standard_normal((4, 4))
    bias = np.array([-0.5, -0.4, 0.3, -0.6])
    network = RateNetwork(jnp.zeros((4, 4)), bias=jnp.asarray(bias), form="firing_rate")
    family = RateFamily(network, jnp.asarray(-weight))
    starts = find_equilibria(family, -3.0, 4)
    assert len(starts) == 5
    found = find_folds(family, list(starts), (-3.0, -0.1))
    assert [round(c.parameter, 4) for c in found] == [-2.4291, -1.8282, -1.0423]
    for candidate in found:
        fold = prove_fold(family, candidate.parameter, candidate.state, candidate.vector)
        assert isinstance(fold, Fold), fold
        assert abs(fold.parameter.mid - candidate.parameter) < 1e-9


def test_two_folds_closer_than_the_step_are_missed_or_both_found():
    """`b = x^3 - e x`: folds at `x = +-sqrt(e / 3)`."""
    e = 1e-2

    def field(x: jax.Array, b: jax.Array) -> jax.Array:
        return b - x**3 + e * x

    fine = find_folds(field, [np.array([-1.0])], (-0.5, 0.5), step=0.01)
    assert [c.state[0] for c in fine] == pytest.approx([(e / 3) ** 0.5, -((e / 3) ** 0.5)])
    coarse = find_folds(field, [np.array([-1.0])], (-0.5, 0.5), step=0.5)
    assert len(coarse) in (0, 2)


def test_branches_without_folds_have_none():
    family = RateFamily(RateNetwork(jnp.zeros((2, 2))), jnp.array([[0.0, -1.0], [1.0, 0.0]]))
    assert find_folds(family, [np.zeros(2)], (0.0, 3.0)) == ()
    assert find_folds(lambda x, b: b - x**3 - x, [np.array([-1.0])], (-2.0, 2.0)) == ()


def test_what_does_not_converge_is_no_candidate():
    start = FoldCandidate(0.3, np.array([0.5]), np.array([1.0]))
    assert polish_fold(lambda x, b: 1 + x**2 + 0 * b, start) is None
    assert polish_fold(lambda x, b: b - x, start) is None
