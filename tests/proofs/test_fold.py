"""Folds of flows and maps: closed forms, Arb references, degenerate ones, and attempts to lie."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from limitset import InputProblem
from limitset.networks import RateFamily, RateNetwork
from limitset.proofs import Reason, Refusal
from limitset.proofs._fold import Fold, prove_fold
from proofs.judging import contains, holds, proved, refused

Field = Callable[[jax.Array, jax.Array], jax.Array]
ONE = np.array([1.0])

pytestmark = pytest.mark.usefixtures("high_precision", "no_shape_checks")


def unit(w: float) -> Field:
    return lambda x, b: -x + w * jnp.tanh(x) + b


@pytest.mark.parametrize("w", [2.0, 1.125, 5.0])
@pytest.mark.parametrize("side", [1, -1])
def test_T18_one_unit_in_closed_form(w: float, side: int):
    """`tanh(x)^2 = 1 - 1/w`, and the quadratic coefficient is `-tanh x`."""
    t = (1 - 1 / arb(w)).sqrt() * side
    x = t.atanh()
    b = x - w * t
    fold = proved(prove_fold(unit(w), float(b) + 1e-3, np.array([float(x) + 1e-3]), ONE))
    assert holds(fold.parameter, b) and holds(fold.state[0], x)
    assert holds(fold.coefficient, -t) and contains(fold.speed, 1.0)
    assert fold.unstable == 0 and fold.one_is_stable
    # At x > 0 a local maximum of -x + w tanh x touches -b: more b, two equilibria.
    assert fold.equilibria_above == (side == 1)


def test_T18_known_digits():
    fold = proved(prove_fold(unit(2.0), -0.5, np.array([1.0]), ONE))
    assert contains(fold.state[0], 0.881373587019543, 5e-16)
    assert contains(fold.parameter, -0.532839975353552, 5e-16)
    assert contains(fold.coefficient, -(0.5**0.5), 1e-15)
    assert max(fold.parameter.rad, fold.state.rad.max(), fold.coefficient.rad) < 3e-14


# Coordinates x = S y with integer entries, also of the inverse.
S = np.array([[1.0, 2.0, 0.0], [1.0, 3.0, 1.0], [2.0, 4.0, 1.0]])
INVERSE = np.array([[-1.0, -2.0, 2.0], [1.0, 1.0, -1.0], [-2.0, 0.0, 1.0]])


@pytest.mark.parametrize("rates", [(-1.0, -2.0), (0.5, -1.0), (1e-2, 3.0), (-1e-2, 1e-2)])
def test_skew_coordinates(rates: tuple[float, float]):
    """`y1' = 3 a - 2 y1^2` beside two others: the scale of the coefficient is `1 / |S e1|`."""
    assert np.array_equal(S @ INVERSE, np.eye(3))

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        y = jnp.asarray(INVERSE) @ x
        others = [rates[0] * y[1] + y[0] * y[2], rates[1] * y[2] + y[0] ** 2]
        return jnp.asarray(S) @ jnp.stack([3.0 * a - 2.0 * y[0] ** 2 + y[0] * y[1], *others])

    length = 6**0.5
    for vector in (S[:, 0], -1e3 * S[:, 0] + 0.01):
        fold = proved(prove_fold(field, 1e-4, np.full(3, 1e-4), vector))
        assert contains(fold.parameter, 0.0) and contains(fold.speed, 3 * length, 1e-15)
        assert contains(fold.coefficient, -2 / length, 1e-15) and fold.equilibria_above
        assert fold.unstable == sum(rate > 0 for rate in rates)
        assert fold.one_is_stable == (fold.unstable == 0)


def test_henon_map_in_closed_form():
    """`a = -(1 - b)^2 / 4`, with critical vectors (1, b) and (1, 1)."""
    b = 0.3

    def henon(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.stack([1 - a * x[0] ** 2 + x[1], b * x[0]])

    B = arb(b)
    a, length = -((1 - B) ** 2) / 4, (1 + B * B).sqrt()
    x = 2 / (1 - B)
    fold = proved(
        prove_fold(henon, -0.12, np.array([2.8, 0.85]), np.array([1.0, 0.3]), discrete=True)
    )
    assert holds(fold.parameter, a) and holds(fold.state[0], x) and holds(fold.state[1], B * x)
    assert holds(fold.speed, x * x * length / (1 + B))
    assert holds(fold.coefficient, a / (length * (1 + B)))
    assert fold.equilibria_above and fold.unstable == 0
    # Equilibria of the flow are something else.
    assert isinstance(prove_fold(henon, -0.12, np.array([2.8, 0.85]), np.ones(2)), Refusal)


def test_multipliers_of_maps_are_counted_outside_the_circle():
    for rate, expected in ((-1.001, 1), (-0.999, 0), (1.001, 1), (0.999, 0)):

        def field(x: jax.Array, a: jax.Array, rate: float = rate) -> jax.Array:
            return jnp.stack([a + x[0] - x[0] ** 2, rate * x[1]])

        answer = prove_fold(field, 0.0, np.zeros(2), np.array([1.0, 0.0]), discrete=True)
        assert proved(answer).unstable == expected


@pytest.mark.parametrize(
    "field",
    [
        lambda x, a: a + x**3,
        lambda x, a: a**2 + x**2,
        lambda x, a: a * x - x**2,
        lambda x, a: a * x - x**3,
        lambda x, a: a + 0.0 * x,
        lambda x, a: a + jnp.abs(x),
        lambda x, a: a + jnp.sort(x) ** 2,
    ],
    ids=["cusp", "isola", "transcritical", "pitchfork", "flat", "kink", "sort"],
)
def test_degenerate_points_are_refused(field: Field):
    for start in (0.0, -0.1):
        assert isinstance(prove_fold(field, start, np.array([start]), ONE), Refusal)


def test_functions_without_enclosure_are_refused_by_name():
    answer = prove_fold(lambda x, a: a + jnp.sort(x) ** 2, 0.1, np.array([0.1]), ONE)
    assert refused(answer) == Reason.UNSUPPORTED_PRIMITIVE


@pytest.mark.parametrize("k", [1e-9, -1e-14])
def test_tiny_coefficients_are_right_or_left(k: float):
    answer = prove_fold(lambda x, a: a + k * x**2 + x**3, 0.0, np.zeros(1), ONE)
    if isinstance(answer, Fold):
        assert contains(answer.coefficient, k) and answer.equilibria_above == (k < 0)
    assert isinstance(answer, Fold) or abs(k) < 1e-12


@pytest.mark.parametrize("block", [[[0.0, -1.0], [1.0, 0.0]], [[1e-17, -1.0], [1.0, 1e-17]]])
def test_other_eigenvalues_on_the_axis_are_refused(block: list[list[float]]):
    turn = np.array(block)

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.concatenate([a[None] - x[:1] ** 2, turn @ x[1:]])

    answer = prove_fold(field, 0.01, np.zeros(3), np.array([1.0, 0.0, 0.0]))
    assert refused(answer) == Reason.SPECTRUM_NOT_SEPARATED


@pytest.mark.parametrize("rate", [-1.0, 1.0])
def test_other_multipliers_on_the_circle_are_refused(rate: float):
    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.stack([a + x[0] - x[0] ** 2, rate * x[1]])

    answer = prove_fold(field, 0.01, np.zeros(2), np.array([1.0, 0.0]), discrete=True)
    assert isinstance(answer, Refusal)


def test_a_nilpotent_block_is_refused():
    """Eigenvalue 0 twice, with one eigenvector: the point of Bogdanov and Takens."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.stack([x[1], a + x[0] ** 2 + x[0] * x[1]])

    assert isinstance(prove_fold(field, 1e-3, np.zeros(2), np.array([1.0, 0.0])), Refusal)


def family(weight: np.ndarray, bias: np.ndarray, shift: np.ndarray | float = 0.0) -> RateFamily:
    still = jnp.asarray(np.zeros_like(weight) + shift)
    return RateFamily(RateNetwork(still, bias=jnp.asarray(bias)), jnp.asarray(weight))


def test_T23_balls_of_weights_hold_their_members():
    radius = 1e-7
    middle = np.array([[1.0, 0.3], [-0.2, 0.4]]), np.array([-0.55, 0.1]), np.zeros((2, 2))
    start = (3.1, np.array([1.15, -1.56]), np.array([1.0, -0.7]))
    whole = proved(prove_fold(family(*middle), *start, weight_radius=radius))
    assert whole.weight_radius == radius
    rng = np.random.default_rng(3)
    for _ in range(5):
        near = (part + radius * rng.uniform(-1, 1, part.shape) for part in middle)
        member = proved(prove_fold(family(*near), *start))
        assert member.unstable == whole.unstable
        for name in ("parameter", "speed", "coefficient", "state"):
            inner, outer = getattr(member, name), getattr(whole, name)
            assert (outer.lower() <= inner.lower()).all() and (inner.upper() <= outer.upper()).all()
    assert isinstance(prove_fold(family(*middle), *start, weight_radius=0.3), Refusal)


def test_unusable_candidates():
    for parameter, state, vector in (
        (np.nan, [0.0], [1.0]),
        (0.0, [np.nan], [1.0]),
        (0.0, [0.0], [np.inf]),
        (0.0, [], []),
    ):
        with pytest.raises(InputProblem, match="no candidate"):
            prove_fold(unit(2.0), parameter, np.array(state), np.array(vector))
    with pytest.raises(InputProblem, match="weight_radius"):
        prove_fold(unit(2.0), 0.0, np.zeros(1), ONE, weight_radius=np.nan)
    with pytest.raises(InputProblem, match="NaN"):
        prove_fold(family(np.array([[np.nan]]), np.zeros(1)), 0.0, np.zeros(1), ONE)
    assert refused(prove_fold(unit(2.0), 0.0, np.zeros(1), np.zeros(1))) == Reason.NEWTON_FAILED
    assert isinstance(prove_fold(unit(0.5), 0.0, np.zeros(1), ONE), Refusal)
