"""Flips of maps: closed forms, degenerate ones, and attempts to make it lie."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from limitset import InputProblem
from limitset.networks import RateFamily, RateNetwork, gain_family
from limitset.proofs import Reason, Refusal
from limitset.proofs._flip import prove_flip
from proofs.judging import contains, holds, proved, refused

Field = Callable[[jax.Array, jax.Array], jax.Array]
ONE = np.array([1.0])

pytestmark = pytest.mark.usefixtures("high_precision", "no_shape_checks")


def test_the_logistic_map():
    def logistic(x: jax.Array, r: jax.Array) -> jax.Array:
        return r * x * (1 - x)

    flip = proved(prove_flip(logistic, 2.9, np.array([0.7]), -3.0 * ONE))
    assert contains(flip.parameter, 3.0) and holds(flip.state[0], arb(2) / 3)
    # The multiplier is 2 - r; the coefficient is f''^2 / 4 + f''' / 6.
    assert contains(flip.speed, -1.0) and contains(flip.coefficient, 9.0)
    assert flip.is_supercritical and flip.cycles_above and flip.cycles_are_stable


@pytest.mark.parametrize("b", [0.3, -0.5])
def test_the_henon_map_in_closed_form(b: float):
    """`a = 3 (1 - b)^2 / 4`, with critical vectors (1, -b) and (1, -1), other multiplier `b`."""

    def henon(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.stack([1 - a * x[0] ** 2 + x[1], b * x[0]])

    B = arb(b)
    a, x = 3 * (1 - B) ** 2 / 4, 2 / (3 * (1 - B))
    start = np.array([float(x), b * float(x)])
    flip = proved(prove_flip(henon, float(a) + 1e-3, start, np.array([1.0, -b])))
    assert holds(flip.parameter, a) and holds(flip.state[0], x) and holds(flip.state[1], B * x)
    assert holds(flip.speed, -1 / (1 - B**2)) and holds(flip.coefficient, a**2 / (1 - B**4))
    assert flip.cycles_above and flip.cycles_are_stable and flip.unstable == 0


@pytest.mark.parametrize(("beta", "gamma"), [(1.5, -3.0), (1.5, -2.0), (0.0, -0.7), (0.0, 0.7)])
def test_quadratic_terms_decide(beta: float, gamma: float):
    """`x+ = -(1 + a) x + beta x^2 + gamma x^3` has the coefficient `beta^2 + gamma`."""
    flip = proved(
        prove_flip(lambda x, a: -(1 + a) * x + beta * x**2 + gamma * x**3, 0.0, np.zeros(1), ONE)
    )
    expected = beta**2 + gamma
    assert contains(flip.coefficient, expected) and contains(flip.speed, -1.0)
    assert flip.is_supercritical == (expected > 0) == flip.cycles_above


# Coordinates x = S y with integer entries, also of the inverse.
S = np.array([[1.0, 2.0, 0.0], [1.0, 3.0, 1.0], [2.0, 4.0, 1.0]])
INVERSE = np.array([[-1.0, -2.0, 2.0], [1.0, 1.0, -1.0], [-2.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("k", "multipliers"), [(0.7, (0.5, -0.25)), (-0.7, (0.5, 2.0)), (0.7, (-3.0, -1.125))]
)
def test_the_resolvent_term_decides(k: float, multipliers: tuple[float, float]):
    """`y1+ = -(1 + a) y1 + y1 y2`, `y2+ = m y2 + k y1^2`: without `B` the coefficient is 0."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        y, (m, other) = jnp.asarray(INVERSE) @ x, multipliers
        first = -(1 + a) * y[0] + y[0] * y[1]
        return jnp.asarray(S) @ jnp.stack(
            [first, m * y[1] + k * y[0] ** 2, other * y[2] + y[0] * y[1]]
        )

    flip = proved(prove_flip(field, 1e-4, np.full(3, 1e-4), S[:, 0]))
    # y1 = z / |S e1|.
    expected = k / (1 - multipliers[0]) / 6
    assert contains(flip.coefficient, expected, 1e-15) and contains(flip.speed, -1.0)
    assert flip.is_supercritical == (expected > 0)
    assert flip.unstable == sum(abs(m) > 1 for m in multipliers)
    assert flip.cycles_are_stable == (expected > 0 and flip.unstable == 0)


def test_the_cycle_is_on_the_side_that_is_claimed():
    """Of a biased network as a map, against the cycle itself, found by iteration."""
    weight = jnp.array([[-1.0, 0.4], [0.3, 0.2]])
    network = RateNetwork(weight, bias=jnp.array([0.4, -0.2]), form="firing_rate", leak=0.0)
    family = gain_family(network)
    flip = proved(prove_flip(family, 1.1, np.array([0.1, -0.1]), np.array([1.0, -0.2])))
    assert flip.cycles_are_stable and flip.cycles_above
    size = {}
    for shift in (1e-2, -1e-2):
        x = jnp.asarray(flip.state.mid) + 0.05
        step = jax.jit(lambda x, a=float(flip.parameter.mid) + shift: family(x, a))
        for _ in range(3000):
            x = step(x)
        size[shift] = float(jnp.linalg.norm(step(x) - x)) / 2
    assert size[-1e-2] < 1e-6
    # The amplitude of y is sqrt(-speed (a - a*) / coefficient).
    predicted = np.sqrt(-flip.speed.mid * 1e-2 / flip.coefficient.mid)
    assert abs(size[1e-2] / predicted - 1) < 0.05


@pytest.mark.parametrize(
    "field",
    [
        lambda x, a: -(1 + a) * x + 1.5 * x**2 - 2.25 * x**3,
        lambda x, a: -(1 + a) * x,
        lambda x, a: -(1 + a**2) * x + x**3,
        lambda x, a: -x + a + x**3,
        lambda x, a: -x + 0.0 * a,
        lambda x, a: -(1 + a) * jnp.abs(x),
    ],
    ids=["no coefficient", "linear", "touching", "no crossing", "still", "kink"],
)
def test_degenerate_points_are_refused(field: Field):
    for start in (0.0, 1e-3):
        assert isinstance(prove_flip(field, start, np.array([start]), ONE), Refusal)


def test_a_vanishing_coefficient_has_no_sign():
    answer = prove_flip(lambda x, a: -(1 + a) * x + 1.5 * x**2 - 2.25 * x**3, 0.0, np.zeros(1), ONE)
    assert refused(answer) == Reason.LYAPUNOV_SIGN_UNDECIDED


@pytest.mark.parametrize(
    "block", [[[0.0, -1.0], [1.0, 0.0]], [[0.6, -0.8], [0.8, 0.6]], [[-1.0, 0.0], [0.0, 0.5]],
              [[1.0, 0.0], [0.0, 0.5]], [[1 - 1e-16, 0.0], [0.0, 0.5]]]
)  # fmt: skip
def test_other_multipliers_on_the_circle_are_refused(block: list[list[float]]):
    others = np.array(block)

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.concatenate([-(1 + a) * x[:1] + x[:1] ** 3, others @ x[1:]])

    assert isinstance(prove_flip(field, 0.01, np.zeros(3), np.array([1.0, 0.0, 0.0])), Refusal)


def test_an_eigenvalue_on_the_imaginary_axis_is_no_obstacle():
    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.stack([-(1 + a) * x[0] + x[0] ** 3, -0.5 * x[2], 0.5 * x[1]])

    assert proved(prove_flip(field, 0.01, np.zeros(3), np.array([1.0, 0.0, 0.0]))).unstable == 0


def test_T23_balls_of_weights_hold_their_members():
    radius = 1e-7
    weight, bias = np.array([[-1.0, 0.4], [0.3, 0.2]]), np.array([0.4, -0.2])
    start = (1.1, np.array([0.1, -0.1]), np.array([1.0, -0.2]))

    def family(shift: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> RateFamily:
        shifted, constant = jnp.asarray(shift), jnp.asarray(bias)
        network = RateNetwork(shifted, bias=constant, form="firing_rate", leak=0.0)
        return RateFamily(network, jnp.asarray(weight))

    middle = (np.zeros((2, 2)), weight, bias)
    whole = proved(prove_flip(family(*middle), *start, weight_radius=radius))
    assert whole.weight_radius == radius
    rng = np.random.default_rng(4)
    for _ in range(4):
        near = (part + radius * rng.uniform(-1, 1, part.shape) for part in middle)
        member = proved(prove_flip(family(*near), *start))
        assert member.unstable == whole.unstable
        for name in ("parameter", "speed", "coefficient", "state"):
            inner, outer = getattr(member, name), getattr(whole, name)
            assert (outer.lower() <= inner.lower()).all() and (inner.upper() <= outer.upper()).all()
    assert isinstance(prove_flip(family(*middle), *start, weight_radius=0.3), Refusal)


def test_unusable_candidates():
    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return -(1 + a) * x + x**3

    for parameter, state, vector in ((np.nan, 0.0, 1.0), (0.0, np.inf, 1.0), (0.0, 0.0, np.nan)):
        with pytest.raises(InputProblem, match="no candidate"):
            prove_flip(field, parameter, np.array([state]), np.array([vector]))
    with pytest.raises(InputProblem, match="no array with an axis"):
        prove_flip(field, 0.0, np.zeros(1), ONE, weight_radius=1e-9)
    assert refused(prove_flip(field, 0.0, np.zeros(1), np.zeros(1))) == Reason.NEWTON_FAILED
