"""Equilibria of rate networks: contained, classified, and refused where the claim is false."""

from fractions import Fraction

import flint
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._equilibrium import (
    Equilibrium,
    Stability,
    determinant_sign,
    lyapunov_form,
    prove_equilibrium,
    prove_field_equilibrium,
)
from limitset.proofs._rate_field import rate_field
from limitset.proofs._refusal import Reason, Refusal
from proofs.arb_network import equilibrium_in_arb, holds

FORMS = ("hopfield", "firing_rate")


def random_network(
    seed: int, n: int, gain: float = 2.0, **options
) -> tuple[RateNetwork, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W = gain * rng.standard_normal((n, n)) / np.sqrt(n)
    b = 0.1 * rng.standard_normal(n)
    return RateNetwork(jnp.asarray(W), bias=jnp.asarray(b), **options), W, b


def proved(result: Equilibrium | Refusal) -> Equilibrium:
    assert isinstance(result, Equilibrium), result
    return result


def is_classified_right(found: Equilibrium, J: np.ndarray) -> bool:
    """Float eigenvalues of a Jacobian that is far from singular agree with the claim."""
    values = np.linalg.eigvals(J)
    unstable = int((values.real > 0).sum())
    expected = Stability.UNSTABLE if unstable else Stability.STABLE
    # det(-J) is the product of the eigenvalues of -J; complex pairs contribute positively.
    sign = int(np.sign(np.linalg.det(-J)))
    return found.stability in (expected, Stability.UNDECIDED) and found.index in (sign, None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_equilibria_contain_the_root_at_200_bits(form, activation):
    decided = 0
    for seed in range(6):
        n = 2 + seed
        network, W, b = random_network(
            seed, n, gain=3.0, form=form, activation=activation, leak=0.5 + 0.25 * seed
        )
        leak = float(network.leak)
        start = 0.3 * np.random.default_rng(seed + 50).standard_normal(n)
        found = prove_equilibrium(network, start)
        if isinstance(found, Refusal):
            continue
        firing, logistic = form == "firing_rate", activation == "sigmoid"
        root = equilibrium_in_arb(W, b, leak, firing, found.center, logistic)
        assert holds(found.center, found.radius, root)
        assert found.radius.max() < 1e-10 < found.uniqueness_radius
        J = rate_field(network).jacobian(Ball.exact(found.center)).mid
        assert is_classified_right(found, J)
        decided += found.stability is not Stability.UNDECIDED and found.index is not None
    assert decided >= 4


def test_one_neuron_closed_forms():
    """f = -x + w tanh x: the origin has index sign(1 - w), the others are stable."""
    for w in (0.5, 0.9, 1.1, 2.0, 30.0):
        network = RateNetwork(jnp.array([[w]]))
        origin = proved(prove_equilibrium(network, np.array([1e-3 * (w > 1)])))
        assert abs(origin.center[0]) <= origin.radius[0]
        assert origin.index == (1 if w < 1 else -1)
        assert origin.stability is (Stability.STABLE if w < 1 else Stability.UNSTABLE)
        if w > 1:
            other = proved(prove_equilibrium(network, np.array([w])))
            assert other.center[0] > 0.1
            assert (other.stability, other.index) == (Stability.STABLE, 1)
            # The origin is another equilibrium: uniqueness may not reach it.
            assert other.center[0] - other.uniqueness_radius > 0


def test_networks_without_leak():
    """tanh(W x + b) = 0 at x = -W^-1 b, for the class of arXiv 2202.05073."""
    W, b = np.array([[1.0, -2.0], [2.0, 1.0]]), np.array([1.0, -1.0])
    network = RateNetwork(jnp.asarray(W), bias=jnp.asarray(b), form="firing_rate", leak=0.0)
    found = proved(prove_equilibrium(network, np.zeros(2)))
    exact = [Fraction(1, 5), Fraction(3, 5)]
    for c, r, x in zip(found.center.tolist(), found.radius.tolist(), exact, strict=True):
        assert abs(Fraction(c) - x) <= Fraction(r)
    assert (found.stability, found.index) == (Stability.UNSTABLE, 1)
    reverse = RateNetwork(-jnp.asarray(W), bias=-jnp.asarray(b), form="firing_rate", leak=0.0)
    assert proved(prove_equilibrium(reverse, np.zeros(2))).stability is Stability.STABLE


def test_constant_input_enters_the_equilibrium():
    network = RateNetwork(jnp.zeros((2, 2)), input_weight=jnp.array([[2.0], [-3.0]]))
    found = proved(prove_equilibrium(network, np.zeros(2), np.array([0.5])))
    assert holds(found.center, found.radius, [flint.arb(1), flint.arb(-1.5)])


def test_float32_weights_are_taken_as_the_numbers_they_are():
    _, W, b = random_network(3, 3)
    narrow, bias = W.astype(np.float32), b.astype(np.float32)
    stored = RateNetwork(jnp.asarray(narrow), bias=jnp.asarray(bias))
    found = proved(prove_equilibrium(stored, np.ones(3)))
    exact = equilibrium_in_arb(
        narrow.astype(np.float64), bias.astype(np.float64), 1.0, False, found.center
    )
    assert holds(found.center, found.radius, exact)
    # The float64 network is another one, and its equilibrium lies elsewhere.
    other = equilibrium_in_arb(W, b, 1.0, False, found.center)
    assert not holds(found.center, found.radius, other)


def test_the_time_constant_moves_nothing():
    _, W, b = random_network(3, 3)
    results = [
        proved(
            prove_equilibrium(
                RateNetwork(jnp.asarray(W), bias=jnp.asarray(b), time_constant=tau), np.ones(3)
            )
        )
        for tau in (0.01, 1.0, 30.0)
    ]
    assert all((r.center == results[0].center).all() for r in results)
    assert len({(r.stability, r.index) for r in results}) == 1


def test_T12_wrong_radius_stale_point_and_perturbed_weight():
    network, W, b = random_network(8, 8)
    center = proved(prove_equilibrium(network, np.ones(8))).center
    shifted = center + 1e-6
    stale = prove_equilibrium(network, shifted, radius=1e-7)
    assert isinstance(stale, Refusal) and stale.reason is Reason.KRAWCZYK_NOT_CONTAINED
    right = proved(prove_equilibrium(network, shifted, radius=2e-6))
    assert holds(right.center, right.radius, equilibrium_in_arb(W, b, 1.0, False, center))
    assert isinstance(prove_equilibrium(network, center, radius=1e-12), Equilibrium)
    for row in range(8):
        changed = W.copy()
        changed[row, 2] += 1e-9
        perturbed = RateNetwork(jnp.asarray(changed), bias=jnp.asarray(b))
        assert isinstance(prove_equilibrium(perturbed, center, radius=1e-12), Refusal)


def test_claims_with_no_equilibrium_or_with_several_are_refused():
    network = RateNetwork(2 * jnp.eye(2))
    assert isinstance(prove_equilibrium(network, np.array([1.0, 1.0]), radius=0.5), Refusal)
    assert isinstance(prove_equilibrium(network, np.zeros(2), radius=2.5), Refusal)


def test_degenerate_equilibria_are_refused():
    """The pitchfork f = -x + tanh x, and a fold of f = -x + 2 tanh x + b."""
    assert isinstance(prove_equilibrium(RateNetwork(jnp.eye(1)), np.zeros(1)), Refusal)
    fold = RateNetwork(jnp.array([[2.0]]), bias=jnp.array([-0.532839975353552]))
    for start in (0.881373587019543, 0.88, 0.882):
        assert isinstance(prove_equilibrium(fold, np.array([start])), Refusal)


def test_relabelling_units_relabels_the_equilibrium():
    network, W, b = random_network(6, 6)
    start = np.linspace(-1, 1, 6)
    first = proved(prove_equilibrium(network, start))
    order = np.random.default_rng(0).permutation(6)
    permuted = RateNetwork(jnp.asarray(W[order][:, order]), bias=jnp.asarray(b[order]))
    second = proved(prove_equilibrium(permuted, first.center[order]))
    gap = np.abs(second.center - first.center[order])
    assert (gap <= second.radius + first.radius[order]).all()
    assert (first.stability, first.index) == (second.stability, second.index)


def test_T29_sign_changes_of_odd_networks():
    network, W, b = random_network(6, 6)
    first = proved(prove_equilibrium(network, np.ones(6)))
    signs = np.where(np.arange(6) % 2, -1.0, 1.0)
    flipped = RateNetwork(jnp.asarray(signs[:, None] * W * signs), bias=jnp.asarray(signs * b))
    second = proved(prove_equilibrium(flipped, signs * first.center))
    assert (np.abs(second.center - signs * first.center) <= second.radius + first.radius).all()
    assert (first.stability, first.index) == (second.stability, second.index)


@pytest.mark.parametrize("form", FORMS)
def test_T23_a_proof_for_a_ball_of_weights_holds_for_its_members(form):
    network, W, b = random_network(4, 4, form=form)
    delta = 1e-4
    start = proved(prove_equilibrium(network, np.ones(4))).center
    whole = proved(prove_equilibrium(network, start, weight_radius=delta))
    assert whole.weight_radius == delta
    rng = np.random.default_rng(9)
    for k in range(30):
        # Corners of the ball are the extreme members.
        draw = rng.choice([-1.0, 1.0], (4, 5)) if k % 2 else rng.uniform(-1, 1, (4, 5))
        member = RateNetwork(
            jnp.asarray(W + 0.999 * delta * draw[:, :4]),
            bias=jnp.asarray(b + 0.999 * delta * draw[:, 4]),
            form=form,
        )
        single = proved(prove_equilibrium(member, start))
        assert (np.abs(single.center - whole.center) <= whole.radius + single.radius).all()
        assert whole.stability in (single.stability, Stability.UNDECIDED)
        assert whole.index in (single.index, None)
    too_far = prove_equilibrium(network, start, weight_radius=10.0)
    assert isinstance(too_far, Refusal)


def test_other_fields_can_be_plugged_in():
    """x' = -y - x^3, y' = x - y^3 + 1."""

    def value(x: Ball) -> Ball:
        swapped = Ball(np.stack([-x.mid[1], x.mid[0]]), x.rad[::-1].copy())
        return swapped - x * x * x + np.array([0.0, 1.0])

    def jacobian(x: Ball) -> Ball:
        slopes = x * x * -3.0
        rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
        return slopes.reshape(1, 2) * np.eye(2) + rotation

    found = proved(prove_field_equilibrium(value, jacobian, np.array([-0.5, 0.5])))
    x, y = found.center
    assert abs(-y - x**3) < 1e-14 and abs(x - y**3 + 1) < 1e-14
    assert (found.stability, found.index) == (Stability.STABLE, 1)


def test_hundred_units():
    network, W, b = random_network(100, 100, gain=0.9)
    found = proved(prove_equilibrium(network, np.zeros(100)))
    assert found.index == 1 and found.radius.max() < 1e-11


def exact_determinant_sign(M: np.ndarray) -> int:
    fractions = [Fraction(float(v)) for v in M.ravel()]
    rows = flint.fmpq_mat(
        len(M), len(M), [flint.fmpq(f.numerator, f.denominator) for f in fractions]
    )
    det = rows.det()
    return int(det > 0) - int(det < 0)


def test_determinant_signs_are_exact():
    rng = np.random.default_rng(21)
    decided = 0
    for _ in range(300):
        n = int(rng.integers(1, 9))
        M = rng.standard_normal((n, n))
        if rng.random() < 0.4 and n > 1:
            # Nearly singular: the float determinant is mostly noise.
            M[0] = M[1:].sum(axis=0) + 10.0 ** rng.uniform(-17, -8) * rng.standard_normal(n)
        if rng.random() < 0.3:
            M = M[:, ::-1].copy()
        sign = determinant_sign(Ball.exact(M))
        assert sign in (exact_determinant_sign(M), None)
        decided += sign is not None
    assert decided > 250


def test_T21_lyapunov_forms_exist_for_stable_matrices_only():
    """The ladder towards the boundary: 0 and beyond are never accepted."""
    rng = np.random.default_rng(22)
    Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    for margin, accepted in ((1e-6, True), (1e-10, True), (0.0, False), (-1e-15, False)):
        J = Q @ np.diag([-margin, -1, -2, -1, -1, -2]) @ Q.T
        if margin <= 0:
            # Exactly singular, or worse: a zero row and column moves the eigenvalue for certain.
            J = np.diag([-margin, -1.0, -2.0, -1.0, -1.0, -2.0])
        assert (lyapunov_form(Ball.exact(J)) is not None) is accepted
    assert lyapunov_form(Ball(-np.eye(2), np.full((2, 2), 0.6))) is None
    assert determinant_sign(Ball(np.eye(2), np.full((2, 2), 0.6))) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_unusable(bad):
    good = RateNetwork(jnp.eye(2) * 0.5)
    for network in (
        RateNetwork(jnp.eye(2).at[0, 1].set(bad)),
        RateNetwork(jnp.eye(2), bias=jnp.array([bad, 0.0])),
        RateNetwork(jnp.eye(2), leak=jnp.asarray(bad)),
    ):
        with pytest.raises(InputProblem):
            prove_equilibrium(network, np.zeros(2))
    with pytest.raises(InputProblem):
        prove_equilibrium(good, np.array([bad, 0.0]))
    with pytest.raises(InputProblem):
        prove_equilibrium(good, np.zeros(2), weight_radius=bad)
    driven = RateNetwork(jnp.eye(2) * 0.5, input_weight=jnp.ones((2, 1)))
    with pytest.raises(InputProblem):
        prove_equilibrium(driven, np.zeros(2), np.array([bad]))


def test_unusable_arguments():
    network = RateNetwork(jnp.eye(2) * 0.5)
    with pytest.raises(InputProblem, match="relu"):
        prove_equilibrium(RateNetwork(jnp.eye(2), activation="relu"), np.zeros(2))
    with pytest.raises(InputProblem, match="shape"):
        prove_equilibrium(network, np.zeros(3))
    with pytest.raises(InputProblem, match="input"):
        prove_equilibrium(network, np.zeros(2), np.zeros(1))
    with pytest.raises(InputProblem, match="weight_radius"):
        prove_equilibrium(network, np.zeros(2), weight_radius=-1.0)


def test_networks_with_another_velocity_are_refused():
    class Backwards(RateNetwork):
        def velocity(self, t, x, u):
            return -super().velocity(t, x, u)

    with pytest.raises(InputProblem, match="Backwards"):
        prove_equilibrium(Backwards(jnp.zeros((1, 1))), np.zeros(1))  # pyright: ignore[reportCallIssue]
