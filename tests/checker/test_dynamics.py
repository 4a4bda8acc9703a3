"""The checker's own formulas for rate networks, its test for zeros, and its counting."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import acb, arb, arb_mat, ctx

from limitset.checker._document import NotProved
from limitset.checker._eigenvalues import real_part, sides
from limitset.checker._family import Family
from limitset.checker._field import Field, Jet, expand
from limitset.checker._hopf import Augmented
from limitset.checker._krawczyk import (
    around,
    contraction,
    enclose_zero,
    has_one_zero,
    invert,
    refine,
)

KINDS = list(itertools.product(("hopfield", "firing_rate"), ("tanh", "sigmoid")))
N, A = 3, 0.75
RNG = np.random.default_rng(4)
WEIGHT, DIRECTION = RNG.normal(size=(2, N, N))
BIAS, STATE = RNG.normal(size=(2, N))


def field(form: str, activation: str) -> Field:
    W, V = (arb_mat(N, N, m.ravel().tolist()) for m in (WEIGHT, DIRECTION))
    return Field(W, V, list(map(arb, BIAS.tolist())), arb(0.5), arb(2.0), form, activation)


def jet(form: str, activation: str) -> Jet:
    return expand(field(form, activation), list(map(arb, STATE.tolist())), arb(A))


def reference(form: str, activation: str) -> Callable[[jax.Array], jax.Array]:
    """The velocity as a function of `(x, a)`, in JAX."""
    phi = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[activation]

    def velocity(z: jax.Array) -> jax.Array:
        x, W = z[:-1], WEIGHT + z[-1] * DIRECTION
        drive = W @ phi(x) + BIAS if form == "hopfield" else phi(W @ x + BIAS)
        return (drive - 0.5 * x) / 2.0

    return velocity


def near(found: Any, expected: Any) -> bool:
    values = [complex(v) if isinstance(v, acb) else float(v) for v in found]
    return bool(np.allclose(values, np.ravel(expected), rtol=1e-12, atol=1e-13))


@pytest.mark.parametrize(("form", "activation"), KINDS)
def test_derivatives_agree_with_automatic_ones(form: str, activation: str):
    found, f = jet(form, activation), reference(form, activation)
    point = jnp.append(jnp.asarray(STATE), A)
    D1 = jax.jacfwd(f)(point)
    D2 = jax.jacfwd(jax.jacfwd(f))(point)
    D3 = jax.jacfwd(jax.jacfwd(jax.jacfwd(f)))(point)[:, :N, :N, :N]
    assert near(found.value(), f(point))
    assert near(found.jacobian().entries(), D1[:, :N])
    assert near(found.by_parameter(), D1[:, N])
    real, imaginary = np.random.default_rng(5).normal(size=(2, 3, N))
    u, v, w = real + 1j * imaginary
    as_acb = [[acb(complex(e)) for e in vector] for vector in (u, v, w)]
    assert near(found.third(*as_acb), np.einsum("ijkl,j,k,l->i", D3, u, v, w))
    for s, t in itertools.product((0, 1), repeat=2):
        expected = np.einsum("ijk,j,k->i", D2, np.append(u, s), np.append(v, t))
        assert near(found.second(as_acb[0], as_acb[1], s, t), expected)
    along = [arb(e) for e in real[0].tolist()]
    assert near(found.bend(along).entries(), np.einsum("ijk,j->ik", D2[:, :N, :N], real[0]))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_enclosures_hold_the_values_at_all_points_of_wide_balls(activation: str):
    one = Field(arb_mat([[1]]), arb_mat([[0]]), [arb(0)], arb(0), arb(1), "firing_rate", activation)
    rng = np.random.default_rng(6)
    for center, radius in zip(rng.normal(0, 2, 200), rng.exponential(1.0, 200), strict=True):
        ball = arb(float(center), float(radius))
        wide = expand(one, [ball])
        for share in (-1.0, -0.3, 0.0, 0.7, 1.0):
            inside = arb(float(center)) + arb(float(radius)) * share
            exact = expand(one, [inside])
            for outer, inner in zip(wide.phi, exact.phi, strict=True):
                assert outer[0].overlaps(inner[0])
    # Slopes are as sharp as the function: at 0 the highest, at both ends the same.
    slope = expand(one, [arb(0, 1)]).phi[1][0]
    peak = 1.0 if activation == "tanh" else 0.25
    assert abs(float(slope.upper()) - peak) < 1e-6
    # Nothing is infinite or NaN far out, nor for balls around 0.
    for ball in (arb(1e300), arb(0, 1e-38), arb(-1e5, 1.0), arb(0, 1e300)):
        assert all(entry[0].is_finite() for entry in expand(one, [ball]).phi)


def square(x: list[arb]) -> list[arb]:
    return [x[0] * x[0] - 2]


def twice(x: list[arb]) -> arb_mat:
    return arb_mat([[2 * x[0]]])


def test_zeros_are_enclosed_and_counted():
    (zero,) = enclose_zero(square, twice, [arb(1.4)])
    assert zero.overlaps(arb(2).sqrt()) and float(zero.rad()) < 1e-12
    with ctx.workprec(256):
        (zero,) = enclose_zero(square, twice, [arb(1.4142135623731)])
        assert zero.overlaps(arb(2).sqrt()) and zero.rad() < arb(2) ** -200

    def one_within(center: float, radius: float) -> bool:
        A, box = invert(twice([arb(center)])), around([arb(center)], [arb(radius)])
        shift = [A[0, 0] * square([arb(center)])[0]]
        return has_one_zero(contraction(A, twice(box)), shift, [arb(radius)])

    assert one_within(1.4, 0.1) and one_within(1.4, 0.5)
    assert not one_within(1.4, 0.01)  # the root of 2 is farther away
    assert not one_within(1.4, 3.0)  # both roots
    assert not one_within(1.0, 0.1) and not one_within(1.4, float("nan"))
    (small,) = refine(square, twice, [arb(1.4, 0.3)])
    assert small.overlaps(arb(2).sqrt()) and float(small.rad()) < 1e-12


@pytest.mark.parametrize("radius", [1e-9, 1e-3, 0.1])
def test_zeros_of_all_functions_in_a_ball_are_enclosed(radius: float):
    def value(x: list[arb]) -> list[arb]:
        return [x[0] * x[0] - arb(2, radius)]

    (zero,) = enclose_zero(value, twice, [arb(1.4)])
    for end in (2 - 0.99 * arb(radius), 2 + 0.99 * arb(radius)):
        assert zero.contains(end.sqrt())
    assert float(zero.rad()) < 1.001 * radius * 2**-1.5 * (1 + 2 * radius)
    with pytest.raises(NotProved):  # some of them have a double zero at 0
        enclose_zero(lambda x: [x[0] * x[0] - arb(2, 2.5)], twice, [arb(1.4)])


def test_a_box_grows_where_one_unknown_moves_less_than_it_is_moved():
    """`x = 1`, `y = (x - 1)^2`, for all right sides of the first: at the midpoints y is still."""

    def value(z: list[arb]) -> list[arb]:
        x, y = z
        return [x - arb(1, 1e-3), y - (x - 1) * (x - 1)]

    def jacobian(z: list[arb]) -> arb_mat:
        return arb_mat([[1, 0], [2 - 2 * z[0], 1]])

    x, y = enclose_zero(value, jacobian, [arb(1), arb(0)])
    assert x.contains(arb(1, 0.99e-3)) and y.contains(arb(0.5e-6, 0.49e-6))
    assert float(x.rad()) < 1.01e-3 and float(y.rad()) < 1e-4


def test_zeros_that_do_not_exist_or_are_not_simple_are_refused():
    with pytest.raises(NotProved):  # x^2 + 2
        enclose_zero(lambda x: [x[0] * x[0] + 2], twice, [arb(1.0)])
    with pytest.raises(NotProved):  # a double zero
        enclose_zero(lambda x: [x[0] * x[0]], twice, [arb(0.1)])
    with pytest.raises(NotProved, match="regular"):
        enclose_zero(square, twice, [arb(0)])
    for bad in (float("nan"), float("inf")):
        with pytest.raises(NotProved):
            enclose_zero(square, twice, [arb(bad)])


def rotated(blocks: list[Any], seed: int) -> arb_mat:
    """A matrix with known spectrum, in a random basis."""
    n = sum(len(np.atleast_2d(b)) for b in blocks)
    D, start = np.zeros((n, n)), 0
    for block in map(np.atleast_2d, blocks):
        stop = start + len(block)
        D[start:stop, start:stop], start = block, stop
    basis = arb_mat(n, n, np.random.default_rng(seed).normal(size=(n, n)).ravel().tolist())
    return basis * arb_mat(n, n, D.ravel().tolist()) * basis.inv()


TURN = [[0.0, -2.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([TURN], 0),
        ([TURN, -1.0, -2.0], 0),
        ([TURN, 1.0, [[3.0, -1.0], [1.0, 3.0]], -1.0], 3),
        ([TURN, 1.0, 1.0, -1.0], 2),
        ([TURN, [[0.5, -1.0], [1.0, 0.5]], [[0.5, -1.0], [1.0, 0.5]]], 4),
        ([TURN, 1e-6, -1e-6], 1),
        ([TURN, TURN], None),
        ([TURN, 0.0], None),
        ([TURN, [[0.0, -1.0], [1.0, 0.0]]], None),
        ([1.0, -1.0], None),
    ],
)
def test_eigenvalues_are_counted_with_multiplicity(blocks: list[Any], expected: int | None):
    with ctx.workprec(128):
        J = rotated(blocks, 7)
        if expected is None:
            with pytest.raises(NotProved):
                sides(J, real_part, 2)
        else:
            assert sides(J, real_part, 2)[0] == expected


def test_wide_matrices_are_not_counted():
    J = arb_mat([[arb(0, 0.1), -2, 0], [2, arb(0, 0.1), 0], [0, 0, arb(0.05, 0.1)]])
    with pytest.raises(NotProved):
        sides(J, real_part, 2)
    with pytest.raises(NotProved):
        sides(arb_mat([[arb("nan"), 1], [-1, 0]]), real_part, 2)


@pytest.mark.parametrize(("form", "activation"), KINDS)
def test_the_augmented_jacobian_is_the_derivative(form: str, activation: str):
    """Against central differences at 400 bits, of every equation along every unknown."""
    rng = np.random.default_rng(8)
    with ctx.workprec(400):
        family = Family(field(form, activation), 0, None)
        system = Augmented(family, list(map(arb, rng.normal(size=N).tolist())))
        point = list(map(arb, rng.normal(size=3 * N + 2).tolist()))
        found, step = system.jacobian(point), arb(2) ** -120
        for j in range(len(point)):
            ahead, behind = list(point), list(point)
            ahead[j], behind[j] = point[j] + step, point[j] - step
            values = zip(system.value(ahead), system.value(behind), strict=True)
            for i, (more, less) in enumerate(values):
                assert abs((more - less) / (2 * step) - found[i, j]) < arb(2) ** -200, (i, j)
