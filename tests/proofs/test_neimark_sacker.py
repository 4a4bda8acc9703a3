"""Neimark-Sacker points: closed forms, the planar formula in Arb, resonances, degenerate ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import acb, arb

from limitset import InputProblem
from limitset.networks import RateFamily, RateNetwork, gain_family
from limitset.proofs import Reason, Refusal
from limitset.proofs._neimark_sacker import prove_neimark_sacker
from proofs.judging import contains, holds, proved, refused

Field = Callable[[jax.Array, jax.Array], jax.Array]
CIRCLING = np.array([1.0, -1.0j])

pytestmark = pytest.mark.usefixtures("high_precision", "no_shape_checks")


def rotation(theta: float) -> np.ndarray:
    c, s = np.cos(theta), np.sin(theta)
    return np.array([[c, -s], [s, c]])


def turning(theta: float) -> RateFamily:
    """`x+ = tanh(r Rot(theta) x)`."""
    network = RateNetwork(jnp.asarray(rotation(theta)), form="firing_rate", leak=0.0)
    return gain_family(network)


@pytest.mark.parametrize("theta", [0.1, 1.0, np.pi / 3, 2 * np.pi / 5, 2.5, 3.1])
def test_T19_rotations(theta: float):
    family = turning(theta)
    point = proved(prove_neimark_sacker(family, 1.01, theta + 0.01, np.zeros(2), CIRCLING))
    assert contains(point.parameter, 1.0, 1e-15) and contains(point.angle, theta, 1e-15)
    assert contains(point.coefficient, -0.5, 1e-15) and contains(point.speed, 1.0, 1e-15)
    assert point.coefficient.rad < 1e-12
    assert point.curves_above and point.curves_are_stable and point.unstable == 0


@pytest.mark.parametrize("theta", [2 * np.pi / 3, np.pi / 2])
def test_T19_strong_resonances_are_refused(theta: float):
    answer = prove_neimark_sacker(turning(theta), 1.0, theta, np.zeros(2), CIRCLING)
    assert refused(answer) == Reason.SPECTRUM_NOT_SEPARATED


@pytest.mark.parametrize("order", [3, 4])
def test_exact_strong_resonances_are_refused(order: int):
    """The rotation is exactly of order 3 or 4, as the root is enclosed."""

    def field(x: jax.Array, r: jax.Array) -> jax.Array:
        c, s = (-0.5, jnp.sqrt(jnp.array(3.0)) / 2) if order == 3 else (0.0, jnp.array(1.0))
        return jnp.tanh(r * jnp.stack([c * x[0] - s * x[1], s * x[0] + c * x[1]]))

    start = 2 * np.pi / order
    for shift in (0.0, 1e-3):
        answer = prove_neimark_sacker(field, 1.0 + shift, start + shift, np.zeros(2), CIRCLING)
        assert refused(answer) == Reason.SPECTRUM_NOT_SEPARATED
        assert isinstance(answer, Refusal) and answer.numbers["order"] == order


def test_angles_near_a_strong_resonance_are_right():
    theta = np.pi / 2 + 1e-6
    point = proved(prove_neimark_sacker(turning(theta), 1.0, theta, np.zeros(2), CIRCLING))
    assert contains(point.coefficient, -0.5, 1e-9)


@pytest.mark.parametrize(
    ("weight", "angle"), [(np.diag([1.0, 0.5]), 0.0), (-np.eye(2), 3.14159)], ids=["1", "-1"]
)
def test_real_multipliers_are_refused(weight: np.ndarray, angle: float):
    family = gain_family(RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0))
    answer = prove_neimark_sacker(family, 1.0, angle, np.zeros(2), np.array([1.0, 0.1j]))
    assert isinstance(answer, Refusal)


def planar_coefficient(
    e: acb, p: list[acb], g: Callable[..., list[acb]], q: list[acb], cubic: acb
) -> arb:
    """Of Kuznetsov, section 4.7: no resolvents, but all quadratic coefficients in the plane."""
    conjugate = [z.conjugate() for z in q]

    def paired(u: list[acb], v: list[acb]) -> acb:
        return sum((a.conjugate() * b for a, b in zip(p, g(u, v), strict=True)), acb(0))

    g20, g11, g02 = paired(q, q), paired(q, conjugate), paired(conjugate, conjugate)
    mixed = (1 - 2 * e) * e.conjugate() ** 2 / (2 * (1 - e)) * g20 * g11
    squares = (g11 * g11.conjugate()).real / 2 + (g02 * g02.conjugate()).real / 4
    return (e.conjugate() * cubic).real / 2 - mixed.real - squares


def test_the_delayed_logistic_map():
    """`x+ = r x (1 - y)`, `y+ = x`: at r = 2 and angle pi / 3, with quadratic terms only."""

    def delayed(x: jax.Array, r: jax.Array) -> jax.Array:
        return jnp.stack([r * x[0] * (1 - x[1]), x[0]])

    e = acb(arb(1) / 2, arb(3).sqrt() / 2)
    length = arb(2).sqrt()
    q = [e / length, acb(1) / length]
    # p^H J = e p^H with J = [[1, -1], [1, 0]]: p^H is along (1, -1 / e).
    left = [acb(1), -1 / e]
    scale = sum((a * b for a, b in zip(left, q, strict=True)), acb(0))
    p = [(a / scale).conjugate() for a in left]

    def quadratic(u: list[acb], v: list[acb]) -> list[acb]:
        return [-2 * (u[0] * v[1] + u[1] * v[0]), acb(0)]

    expected = planar_coefficient(e, p, quadratic, q, acb(0))
    start = np.array([1.0, 0.5 - 0.9j])
    for vector in (start, 100 * np.exp(2j) * start):
        point = proved(prove_neimark_sacker(delayed, 2.05, 1.0, np.full(2, 0.52), vector))
        assert holds(point.coefficient, expected) and holds(point.angle, arb.pi() / 3)
        assert contains(point.parameter, 2.0) and point.unstable == 0
        # The multipliers have the product r - 1.
        assert contains(point.speed, 0.5) and point.curves_above and point.curves_are_stable


@pytest.mark.parametrize("seed", range(3))
def test_random_maps_of_the_plane(seed: int):
    """All terms of second and third order, against the planar formula."""
    rng = np.random.default_rng(seed)
    theta = 1.0 + 0.3 * seed
    J = rotation(theta)
    Q, K = rng.standard_normal((2, 2, 2)), rng.standard_normal((2, 2, 2, 2))

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        square, cube = jnp.outer(x, x), jnp.outer(jnp.outer(x, x).reshape(-1), x).reshape(-1)
        quadratic, cubic = Q.reshape(2, 4) @ square.reshape(-1), K.reshape(2, 8) @ cube
        return (1 + a) * (J @ x) + quadratic + cubic

    q = [acb(1) / arb(2).sqrt(), acb(0, -1) / arb(2).sqrt()]
    e = acb(float(J[0, 0]), float(J[1, 0]))
    e = e / abs(e)

    def quadratic(u: list[acb], v: list[acb]) -> list[acb]:
        return [
            sum(
                (
                    acb(float(Q[i, j, k])) * (u[j] * v[k] + v[j] * u[k])
                    for j in (0, 1)
                    for k in (0, 1)
                ),
                acb(0),
            )
            for i in (0, 1)
        ]

    conjugate = [z.conjugate() for z in q]
    cubic = acb(0)
    for i, j, k, m in np.ndindex(2, 2, 2, 2):
        symmetric = (
            q[j] * q[k] * conjugate[m] + q[j] * conjugate[k] * q[m] + conjugate[j] * q[k] * q[m]
        )
        cubic += q[i].conjugate() * acb(float(K[i, j, k, m])) * 2 * symmetric
    expected = planar_coefficient(e, q, quadratic, q, cubic)
    point = proved(prove_neimark_sacker(field, 1e-3, theta, np.zeros(2), CIRCLING))
    assert holds(point.coefficient, expected)


@pytest.mark.parametrize(("k", "m"), [(0.7, 0.5), (-0.7, 0.5), (0.7, 2.0), (0.7, -0.5)])
def test_the_first_resolvent_decides(k: float, m: float):
    """`w+ = (1 + a) exp(i theta) w (1 + z)`, `z+ = m z + k |w|^2`: `d = 2 k / (1 - m)`."""
    turn = rotation(1.3)

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        w, z = x[:2], x[2]
        turned = (1 + a) * (turn @ w) * (1 + z)
        return jnp.concatenate([turned, (m * z + k * (w @ w))[None]])

    point = proved(
        prove_neimark_sacker(field, 0.01, 1.31, np.full(3, 1e-3), np.array([1.0, -1.0j, 0.0]))
    )
    assert contains(point.coefficient, 2 * k / (1 - m), 1e-14)
    assert point.is_supercritical == (k / (1 - m) < 0) == point.curves_above
    assert point.unstable == (abs(m) > 1)
    assert point.curves_are_stable == (point.is_supercritical and abs(m) < 1)


@pytest.mark.parametrize("k", [0.7, -0.7])
def test_the_second_resolvent_decides(k: float):
    """`w+ = (1 + a) exp(i theta) (w + conj(w) z)`, `z+ = m z + k w^2`, `w` and `z` complex."""
    theta, m = 1.3, 0.5
    turn = rotation(theta)

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        (u, v), (r, s) = x[:2], x[2:]
        w = jnp.stack([u + u * r + v * s, v + u * s - v * r])
        z = jnp.stack([m * r + k * (u**2 - v**2), m * s + k * 2 * u * v])
        return jnp.concatenate([(1 + a) * (turn @ w), z])

    point = proved(
        prove_neimark_sacker(field, 0.01, 1.31, np.zeros(4), np.array([1.0, -1.0j, 0.0, 0.0]))
    )
    expected = 2 * np.real(k / (np.exp(2j * theta) - m))
    assert contains(point.coefficient, expected, 1e-14)
    assert point.is_supercritical == (expected < 0)


def test_the_curve_has_the_size_that_is_claimed():
    """Of a biased network as a map, against iteration on both sides."""
    weight = jnp.array([[0.6, -0.9, 0.1], [0.8, 0.5, 0.2], [0.3, -0.1, 0.2]])
    bias = jnp.array([0.2, -0.1, 0.3])
    family = gain_family(RateNetwork(weight, bias=bias, form="firing_rate", leak=0.0))
    values, vectors = np.linalg.eig(np.asarray(weight))
    top = int(np.imag(values).argmax())
    start = (1.1, float(np.angle(values[top])), np.array([0.1, 0.0, 0.3]), vectors[:, top])
    point = proved(prove_neimark_sacker(family, *start))
    assert point.curves_are_stable and point.curves_above
    size = {}
    for shift in (4e-3, -4e-3):
        step = jax.jit(lambda x, a=float(point.parameter.mid) + shift: family(x, a))
        states = [jnp.asarray(point.state.mid) + 0.05]
        for _ in range(8000):
            states.append(step(states[-1]))
        # The mean square of 2 Re(z q) over the phase is 2 |z|^2.
        size[shift] = float(np.sqrt(np.asarray(states[-2000:]).var(axis=0).sum() / 2))
    assert size[-4e-3] < 1e-6
    predicted = np.sqrt(-point.speed.mid * 4e-3 / point.coefficient.mid)
    assert abs(size[4e-3] / predicted - 1) < 0.05


def with_others(block: list[list[float]]) -> Field:
    turn, others = rotation(1.0), np.array(block)

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.tanh((1 + a) * (turn @ x[:2])), others @ x[2:]])

    return field


@pytest.mark.parametrize("block", [[[1.0]], [[-1.0]], [[0.0, -1.0], [1.0, 0.0]], [[1 - 1e-16]]])
def test_other_multipliers_on_the_circle_are_refused(block: list[list[float]]):
    size = 2 + len(block)
    vector = np.concatenate([CIRCLING, np.zeros(len(block))])
    answer = prove_neimark_sacker(with_others(block), 0.01, 1.01, np.zeros(size), vector)
    assert isinstance(answer, Refusal)


def test_other_multipliers_are_counted():
    vector = np.concatenate([CIRCLING, np.zeros(2)])
    for block, expected in (([[1.01, 0.0], [0.0, -1.01]], 2), ([[0.0, -0.99], [0.99, 0.0]], 0)):
        point = proved(prove_neimark_sacker(with_others(block), 0.01, 1.01, np.zeros(4), vector))
        assert point.unstable == expected and point.curves_are_stable == (expected == 0)


@pytest.mark.parametrize(
    "factor",
    [lambda x, a: 1 + a, lambda x, a: 1 + a**2 - x @ x, lambda x, a: 1 + 0 * a - x @ x],
    ids=["linear", "touching", "still"],
)
def test_degenerate_points_are_refused(factor: Callable[[jax.Array, jax.Array], jax.Array]):
    turn = rotation(1.0)
    for start in (0.0, 1e-3):
        answer = prove_neimark_sacker(
            lambda x, a: factor(x, a) * (turn @ x), start, 1.0, np.zeros(2), CIRCLING
        )
        assert isinstance(answer, Refusal)


def test_T23_balls_of_weights_hold_their_members():
    radius = 1e-7
    weight, bias = np.array([[0.6, -0.9], [0.8, 0.5]]), np.array([0.2, -0.1])
    start = (1.1, 1.0, np.array([0.1, 0.1]), CIRCLING)

    def family(shift: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> RateFamily:
        shifted, constant = jnp.asarray(shift), jnp.asarray(bias)
        network = RateNetwork(shifted, bias=constant, form="firing_rate", leak=0.0)
        return RateFamily(network, jnp.asarray(weight))

    middle = (np.zeros((2, 2)), weight, bias)
    whole = proved(prove_neimark_sacker(family(*middle), *start, weight_radius=radius))
    assert whole.weight_radius == radius
    rng = np.random.default_rng(4)
    for _ in range(3):
        near = (part + radius * rng.uniform(-1, 1, part.shape) for part in middle)
        member = proved(prove_neimark_sacker(family(*near), *start))
        assert member.unstable == whole.unstable
        for name in ("parameter", "angle", "speed", "coefficient", "state"):
            inner, outer = getattr(member, name), getattr(whole, name)
            assert (outer.lower() <= inner.lower()).all() and (inner.upper() <= outer.upper()).all()
    assert isinstance(prove_neimark_sacker(family(*middle), *start, weight_radius=0.3), Refusal)


def test_unusable_candidates():
    family = turning(1.0)
    for parameter, angle, entry in ((np.nan, 1.0, 1.0), (1.0, np.inf, 1.0), (1.0, 1.0, np.nan)):
        with pytest.raises(InputProblem, match="no candidate"):
            prove_neimark_sacker(family, parameter, angle, np.zeros(2), np.array([entry, 1.0j]))
    with pytest.raises(InputProblem, match="NaN"):
        prove_neimark_sacker(turning(np.nan), 1.0, 1.0, np.zeros(2), CIRCLING)
    nowhere = prove_neimark_sacker(family, 1.0, 1.0, np.zeros(2), np.zeros(2, complex))
    assert refused(nowhere) == Reason.NEWTON_FAILED
    # The conjugate pair belongs to the negative angle.
    mirrored = prove_neimark_sacker(family, 1.0, -1.0, np.zeros(2), CIRCLING.conj())
    assert refused(mirrored) == Reason.OMEGA_CONTAINS_ZERO
