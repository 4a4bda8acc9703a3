"""The checker's families, its equations of critical points, and its counting of eigenvalues."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import acb, arb, arb_mat

from limitset.checker._document import NotProved
from limitset.checker._eigenvalues import outside_circle, real_part, sides
from limitset.checker._family import Family
from limitset.checker._field import Field
from limitset.checker._real_critical import OddCritical, RealCritical
from limitset.checker._rotation import Rotation, require_no_resonance

N, KEEP, GAIN = 3, 0.75, 0.5
RNG = np.random.default_rng(7)
WEIGHT, DIRECTION = RNG.normal(size=(2, N, N))
BIAS, LIFT, PHI = RNG.normal(size=(3, N))
KINDS = list(
    itertools.product(
        ("hopfield", "firing_rate"), ("tanh", "sigmoid"), ("weight", "bias"), ("flow", "map")
    )
)

Velocity = Callable[[jax.Array, jax.Array], jax.Array]


def vector(values: Any) -> list[arb]:
    return [arb(float(value)) for value in values]


def matrix(values: np.ndarray) -> arb_mat:
    rows, columns = values.shape
    return arb_mat(rows, columns, values.ravel().tolist())


def family(form: str, activation: str, kind: str, time: str) -> Family:
    is_map = time == "map"
    leak, scale = (-arb(KEEP) / GAIN, 1 / arb(GAIN)) if is_map else (arb(0.5), arb(2))
    constants = (vector(BIAS), leak, scale, form, activation)
    field = Field(matrix(WEIGHT), matrix(DIRECTION * (kind == "weight")), *constants)
    return Family(field, int(is_map), vector(LIFT) if kind == "bias" else None)


def reference(form: str, activation: str, kind: str, time: str) -> Velocity:
    """The same in JAX, from the definition."""
    phi = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[activation]

    def velocity(x: jax.Array, a: jax.Array) -> jax.Array:
        W = WEIGHT + a * DIRECTION * (kind == "weight")
        b = BIAS + a * LIFT * (kind == "bias")
        drive = W @ phi(x) + b if form == "hopfield" else phi(W @ x + b)
        return KEEP * x + GAIN * drive if time == "map" else (drive - 0.5 * x) / 2.0

    return velocity


def near(found: Any, expected: Any) -> bool:
    values = [float(value) for value in found]
    return bool(np.allclose(values, np.ravel(expected), rtol=1e-12, atol=1e-13))


def agrees(system: Any, expected: Callable[[jax.Array], jax.Array], size: int) -> bool:
    """Values and derivatives, at a point where nothing vanishes."""
    z = np.random.default_rng(8).normal(size=size)
    found, point = vector(z), jnp.asarray(z)
    derivative = system.jacobian(found)
    same = near(derivative.entries(), jax.jit(jax.jacfwd(expected))(point))
    return same and near(system.value(found), expected(point))


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_by_the_parameter_agree_with_automatic_ones(kind: tuple[str, str, str, str]):
    found, f = family(*kind), reference(*kind)
    x, v = np.random.default_rng(9).normal(size=(2, N))
    a, state = jnp.asarray(0.75), jnp.asarray(x)
    jet = found.at(vector(x), arb(0.75))
    value = f(state, a) - (state if found.still else 0)
    assert near(found.rest(jet), value)
    assert near(found.slope(jet), jax.jacfwd(f, 1)(state, a))
    tilt = jax.jacfwd(lambda a: jax.jacfwd(f)(state, a) @ v)(a)
    assert near(found.tilt(jet, vector(v)), tilt)
    complex_tilt = found.tilt(jet, [acb(0, e) for e in vector(v)])
    assert near([acb(e).imag for e in complex_tilt], tilt)


@pytest.mark.parametrize("kind", [KINDS[k] for k in (1, 6, 8, 11, 13)])
def test_equations_of_critical_points_agree_with_automatic_derivatives(
    kind: tuple[str, str, str, str],
):
    """A wrong derivative would make the Krawczyk test prove nothing."""
    found, f, phi = family(*kind), reference(*kind), jnp.asarray(PHI)

    def rest(x: jax.Array, a: jax.Array) -> jax.Array:
        return f(x, a) - found.still * x

    def real(z: jax.Array) -> jax.Array:
        a, x, v = z[0], z[1 : N + 1], z[N + 1 :]
        critical = jax.jacfwd(f)(x, a) @ v + v
        return jnp.concatenate([jnp.stack([phi @ v - 1]), rest(x, a), critical])

    assert agrees(RealCritical(found, vector(PHI), -1), real, 2 * N + 1)

    def rotation(z: jax.Array) -> jax.Array:
        a, angle, (x, v1, v2) = z[0], z[1], jnp.split(z[2:], 3)
        turned = jax.jacfwd(f)(x, a) @ (v1 + 1j * v2) - jnp.exp(1j * angle) * (v1 + 1j * v2)
        scale = jnp.stack([phi @ v1, phi @ v2 - 1])
        return jnp.concatenate([scale, f(x, a) - x, jnp.real(turned), jnp.imag(turned)])

    if found.still:
        assert agrees(Rotation(found, vector(PHI)), rotation, 3 * N + 2)

    def odd(z: jax.Array) -> jax.Array:
        critical = jax.jacfwd(f)(jnp.zeros(N), z[0]) @ z[1:]
        return jnp.concatenate([jnp.stack([phi @ z[1:] - 1]), critical])

    assert agrees(OddCritical(found, vector(PHI)), odd, N + 1)


def rotated(blocks: list[Any], seed: int) -> arb_mat:
    """A matrix with known spectrum, in a random basis."""
    n = sum(len(np.atleast_2d(b)) for b in blocks)
    D, start = np.zeros((n, n)), 0
    for block in map(np.atleast_2d, blocks):
        stop = start + len(block)
        D[start:stop, start:stop], start = block, stop
    basis = matrix(np.random.default_rng(seed).normal(size=(n, n)))
    return basis * matrix(D) * basis.inv()


TURN = [[0.0, -1.0], [1.0, 0.0]]


def test_eigenvalues_are_counted_beside_the_critical_ones():
    blocks = [0.0, 3.0, -1.0, [[2.0, -1.0], [1.0, 2.0]], -0.25, [[-0.5, -9.0], [9.0, -0.5]]]
    assert sides(rotated(blocks, 1), real_part, 1) == (3, 4)
    blocks = [1.0, 1.5, -1.5, 0.5, [[0.9, -0.9], [0.9, 0.9]]]
    assert sides(rotated(blocks, 2), outside_circle, 1) == (4, 1)
    # Equal eigenvalues off the line do not matter, and many of a low-rank weight with leak.
    assert sides(rotated([0.0, -1.0, -1.0, 2.0, 2.0], 3), real_part, 1) == (2, 2)
    column = np.random.default_rng(4).normal(size=(30, 1))
    assert sides(matrix(column @ column.T / 10 - np.eye(30)), real_part) == (1, 29)
    assert sides(rotated([TURN, 0.5, 3.0], 5), outside_circle, 2) == (1, 1)


@pytest.mark.parametrize(
    ("blocks", "critical"),
    [
        ([0.0, 0.0, 1.0], 1),
        ([0.0, 1.0], 0),
        ([TURN, 0.0], 1),
        ([TURN, TURN], 2),
        ([[[0.0, 1.0], [0.0, 0.0]], -1.0], 1),
        ([[[0.0, 1.0], [0.0, 0.0]], -1.0], 2),
        ([1e-40, 0.0, 1.0], 1),
        ([1.0, 2.0], 1),
    ],
)
def test_what_is_not_separated_is_refused(blocks: list[Any], critical: int):
    with pytest.raises(NotProved):
        sides(rotated(blocks, 6), real_part, critical)


def test_a_ball_of_matrices_is_decided_only_as_a_whole():
    for radius, decided in ((0.1, True), (1.1, False)):
        J = arb_mat([[arb(-1, radius), 0], [0, arb(2, radius)]])
        if decided:
            assert sides(J, real_part) == (1, 1)
        else:
            with pytest.raises(NotProved):
                sides(J, real_part)
    with pytest.raises(NotProved):
        sides(arb_mat([[arb("nan"), 0], [0, 1]]), real_part)


def test_discs_that_are_alone_are_shrunk():
    """An eigenvalue of 0.01 with a disc of radius 0.06, whose neighbours are far away."""
    values = [0.01, -5.0, 7.0, -3.0]

    def around(radius: float) -> arb_mat:
        rows = np.diag(values).tolist()
        return arb_mat([[arb(e, 0 if e else radius) for e in row] for row in rows])

    assert sides(around(0.02), real_part) == (2, 2)
    with pytest.raises(NotProved):
        sides(around(0.2), real_part)  # 0.2^2 / 3 > 0.01
    assert sides(around(0.0), real_part) == (2, 2)


def test_counts_hold_for_members_of_a_ball():
    rng, decided = np.random.default_rng(11), 0
    for _ in range(150):
        middle, radius = rng.normal(size=(4, 4)), 10 ** rng.uniform(-3, -0.5)
        J = arb_mat([[arb(e, radius) for e in row] for row in middle.tolist()])
        try:
            found = sides(J, real_part)
        except NotProved:
            continue
        decided += 1
        members = middle + radius * np.sign(rng.normal(size=(20, 4, 4)))
        right = (np.real(np.linalg.eigvals(members)) > 0).sum(axis=1)
        assert (right == found[0]).all() and sum(found) == 4
    assert decided > 30


def test_strong_resonances():
    for angle in (1.0, 2.0, 3.1, 1e-9):
        require_no_resonance(arb(angle))
    pi = arb.pi()
    for angle in (arb(0), pi, -arb(1), arb(4), arb("nan"), arb(0.5, 0.6)):
        with pytest.raises(NotProved, match="within"):
            require_no_resonance(angle)
    for order in (3, 4):
        for angle in (2 * pi / order, arb(float(2 * pi / order), 1e-9)):
            with pytest.raises(NotProved, match=f"resonance: {order}"):
                require_no_resonance(angle)
