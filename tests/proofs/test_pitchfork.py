"""Pitchforks of odd rate families: closed forms, degenerate ones, and fields without symmetry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset import InputProblem
from limitset.networks import Activation, RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import Reason, Refusal
from limitset.proofs._pitchfork import prove_symmetric_pitchfork
from proofs.judging import contains, proved, refused

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def gain(weight: object, **options: object) -> RateFamily:
    return gain_family(RateNetwork(jnp.asarray(weight), **options))  # pyright: ignore[reportArgumentType]


ONE = np.array([1.0])


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
@pytest.mark.parametrize("time_constant", [1.0, 0.25])
def test_T18_one_unit(form: str, time_constant: float):
    family = gain([[1.0]], form=form, time_constant=time_constant)
    fork = proved(prove_symmetric_pitchfork(family, 0.9, -2.0 * ONE))
    assert contains(fork.parameter, 1.0) and contains(fork.speed, 1 / time_constant)
    assert contains(fork.coefficient, -1 / (3 * time_constant), 1e-15)
    assert fork.coefficient.rad < 1e-13
    assert fork.pair_above and fork.pair_is_stable and fork.unstable == 0


def test_stored_float32_weights_are_exact_numbers():
    family = gain_family(RateNetwork(jnp.array([[0.1]], jnp.float32)))
    fork = proved(prove_symmetric_pitchfork(family, 10.0, ONE))
    assert contains(fork.parameter, 1 / float(np.float32(0.1)), 2e-15)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_networks_against_eigenvectors(seed: int):
    """Hopfield form, `W(a) = a W`: `a = 1/lambda`, coefficient `-sum p q^3 / 3`, speed `lambda`."""
    rng = np.random.default_rng(seed)
    size = 6
    W = rng.standard_normal((size, size)) / np.sqrt(size) + 0.7 * np.eye(size)
    values, vectors = np.linalg.eig(W)
    lefts = np.linalg.inv(vectors)
    real = [k for k in range(size) if values[k].imag == 0 and abs(values[k]) > 0.1]
    assert real
    for k in real:
        scale, q, p = values[k].real, np.real(vectors[:, k]), np.real(lefts[k])
        fork = proved(prove_symmetric_pitchfork(gain(W), 1 / scale + 1e-4, q + 1e-4))
        assert contains(fork.parameter, 1 / scale, 1e-13)
        assert contains(fork.speed, scale, 1e-12)
        assert contains(fork.coefficient, -float(p @ q**3) / 3, 1e-12)
        assert fork.unstable == sum(np.real(np.delete(values, k)) / scale > 1)
        assert fork.pair_is_stable == (fork.is_supercritical and fork.unstable == 0)


def test_a_subcritical_one():
    """`q = (3, 1)`, `p = (-1, 4)` up to scale, exact floats: coefficient 2.3 / 3."""
    fork = proved(
        prove_symmetric_pitchfork(gain([[-2.0, 9.0], [-0.75, 3.25]]), 1.01, np.array([3.0, 1.0]))
    )
    assert contains(fork.coefficient, 2.3 / 3, 1e-15) and contains(fork.parameter, 1.0)
    assert not fork.is_supercritical and not fork.pair_above and not fork.pair_is_stable


def test_a_shift_that_leaves_the_pair_below():
    """`W(a) = 2 - a`: the speed is negative."""
    family = RateFamily(RateNetwork(jnp.array([[2.0]])), jnp.array([[-1.0]]))
    fork = proved(prove_symmetric_pitchfork(family, 1.1, ONE))
    assert contains(fork.speed, -1.0) and fork.is_supercritical and not fork.pair_above


class Disguised(RateFamily):
    def __call__(self, x: jax.Array, parameter: float | jax.Array) -> jax.Array:
        return -x + parameter * jnp.tanh(x) + 1e-3 * x**2


def test_fields_without_proved_symmetry_are_refused():
    network = RateNetwork(jnp.array([[1.0]]))
    asymmetric = [
        gain([[1.0]], bias=jnp.array([1e-300])),
        gain([[1.0]], bias=jnp.array([0.1])),
        gain([[1.0]], activation="sigmoid"),
        gain([[1.0]], activation=Activation("tanh", lambda x: jnp.tanh(x) + 0.01 * x**2)),
        Disguised(network, network.weight),
        lambda x, a: -x + a * jnp.tanh(x),
    ]
    for field in asymmetric:
        answer = prove_symmetric_pitchfork(field, 1.0, ONE)
        assert isinstance(answer, Refusal) and answer.reason == Reason.NOT_SYMMETRIC
        assert "fold pair or symmetric only" in answer.message


def test_degenerate_points_are_refused():
    linear = gain([[1.0]], activation="identity")
    assert refused(prove_symmetric_pitchfork(linear, 1.0, ONE)) == Reason.LYAPUNOV_SIGN_UNDECIDED
    # Without leak, J = W(a) is singular where a whole line of equilibria lies.
    weight = jnp.array([[0.3, 0.5], [0.0, -0.2]])
    pure = shift_family(RateNetwork(weight, form="firing_rate", leak=0.0))
    answer = prove_symmetric_pitchfork(pure, -0.3, np.array([1.0, 0.0]))
    assert refused(answer) == Reason.LYAPUNOV_SIGN_UNDECIDED
    # An eigenvalue 0 that does not move.
    still = RateFamily(RateNetwork(jnp.array([[1.0]])), jnp.array([[0.0]]))
    assert isinstance(prove_symmetric_pitchfork(still, 1.0, ONE), Refusal)
    assert isinstance(prove_symmetric_pitchfork(gain(np.eye(2)), 1.0, np.ones(2)), Refusal)


def test_other_eigenvalues_on_the_axis_are_refused():
    W = np.zeros((3, 3))
    W[0, 0], W[1:, 1:] = 1.0, [[1.0, -1.0], [1.0, 1.0]]
    answer = prove_symmetric_pitchfork(gain(W), 1.0, np.array([1.0, 0.0, 0.0]))
    assert refused(answer) == Reason.SPECTRUM_NOT_SEPARATED


def test_T23_balls_of_weights_hold_their_members():
    radius = 1e-6
    rng = np.random.default_rng(1)
    weight = np.array([[1.2, 0.3, 0.1], [-0.2, 0.4, 0.5], [0.0, -0.6, 0.3]])
    vector = np.array([1.0, -0.1, 0.0])
    network = RateNetwork(jnp.asarray(weight))
    zero = jnp.zeros((3, 3))
    silent = RateNetwork(zero)
    whole = proved(
        prove_symmetric_pitchfork(gain_family(network), 0.9, vector, weight_radius=radius)
    )
    assert whole.weight_radius == radius
    for _ in range(5):
        first, second = radius * rng.uniform(-1, 1, (2, 3, 3))
        member = proved(
            prove_symmetric_pitchfork(
                RateFamily(
                    RateNetwork(silent.weight + jnp.asarray(first)), jnp.asarray(weight + second)
                ),
                0.9,
                vector,
            )
        )
        assert member.unstable == whole.unstable
        for name in ("parameter", "speed", "coefficient"):
            inner, outer = getattr(member, name), getattr(whole, name)
            assert outer.lower() <= inner.lower() and inner.upper() <= outer.upper()
    large = prove_symmetric_pitchfork(gain_family(network), 0.9, vector, weight_radius=0.3)
    assert isinstance(large, Refusal)


def test_unusable_candidates():
    family = gain([[1.0]])
    for parameter, vector in ((np.nan, ONE), (1.0, np.array([np.inf])), (1.0, np.zeros(0))):
        with pytest.raises(InputProblem, match="no candidate"):
            prove_symmetric_pitchfork(family, parameter, vector)
    for broken in (gain([[np.nan]]), gain([[1.0]], bias=jnp.array([np.nan]))):
        with pytest.raises(InputProblem, match="NaN"):
            prove_symmetric_pitchfork(broken, 1.0, ONE)
    with pytest.raises(InputProblem, match="weight_radius"):
        prove_symmetric_pitchfork(family, 1.0, ONE, weight_radius=-1e-9)
    nowhere = prove_symmetric_pitchfork(family, 1.0, np.zeros(1))
    assert refused(nowhere) == Reason.NEWTON_FAILED
