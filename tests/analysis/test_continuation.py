"""Branches of equilibria against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem, RateNetwork
from limitset.analysis import continue_equilibria
from limitset.networks import gain_family, shift_family


def test_points_lie_on_the_curve():
    branch = continue_equilibria(lambda x, a: jnp.tanh(a) - x, np.zeros(1), (0.0, 2.0), step=0.1)
    assert np.allclose(branch.states[:, 0], np.tanh(branch.parameters), rtol=0, atol=1e-10)
    assert np.allclose(branch.eigenvalues, -1) and branch.ended == "the branch left the interval"
    assert branch.parameters[0] == 0 and branch.parameters[-1] > 2
    length = np.hypot(np.diff(branch.parameters), np.diff(branch.states[:, 0]))
    assert length.max() < 0.11


def test_folds_are_passed():
    """`a = x^3 - x` turns back twice; the branch goes on to the upper part."""
    branch = continue_equilibria(
        lambda x, a: a - x**3 + x, np.array([-1.3]), (-1.0, 1.0), start=-0.9, step=0.05
    )
    x = branch.states[:, 0]
    assert np.allclose(branch.parameters, x**3 - x, rtol=0, atol=1e-9)
    assert branch.parameters[-1] > 1 and x[-1] > 1.3
    unstable = (np.real(branch.eigenvalues) > 0).any(1)
    assert (unstable == (np.abs(x) < 3**-0.5)).all()


def test_eigenvalues_of_a_network():
    rng = np.random.default_rng(1)
    weight = jnp.asarray(rng.standard_normal((4, 4)))
    network = RateNetwork(weight, bias=jnp.asarray(rng.standard_normal(4)), form="firing_rate")
    family = gain_family(network)
    branch = continue_equilibria(family, np.tanh(network.bias), (0.0, 3.0), step=0.2)
    for a, x, found in zip(branch.parameters, branch.states, branch.eigenvalues, strict=True):
        assert np.abs(family(jnp.asarray(x), a)).max() < 1e-9
        J = np.asarray(jax.jacfwd(lambda y, a=a: family(y, a))(jnp.asarray(x)))
        assert np.allclose(np.sort_complex(found), np.sort_complex(np.linalg.eigvals(J)))


def test_a_branch_that_ends_says_so():
    """`x^2 = -a` exists for negative parameters only; the square root has no point beyond."""
    few = continue_equilibria(lambda x, a: a - x, np.zeros(1), (0.0, 1.0), step=0.01, points=5)
    assert len(few.parameters) == 5 and few.ended == "all points were used"
    family = shift_family(RateNetwork(jnp.zeros((1, 1))))
    whole = continue_equilibria(family, np.zeros(1), (0.0, 3.0), step=0.5)
    assert np.allclose(whole.states, 0) and whole.ended == "the branch left the interval"


def test_unusable_input():
    with pytest.raises(InputProblem, match="low < high"):
        continue_equilibria(lambda x, a: a - x, np.zeros(1), (1.0, 0.0))
    with pytest.raises(InputProblem, match="no equilibrium"):
        continue_equilibria(lambda x, a: 1 + x**2 + 0 * a, np.zeros(1), (0.0, 1.0))
