"""The Krawczyk test: roots contained, false claims refused."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.proofs._ball import Ball
from limitset.proofs._derivative import jacobian
from limitset.proofs._enclose import enclose
from limitset.proofs._krawczyk import ZeroEnclosure, _at_most_one, _Tests, krawczyk, newton
from limitset.proofs._refusal import Reason, Refusal


def square(x: Ball) -> Ball:
    return x * x - 2.0


def square_slope(x: Ball) -> Ball:
    return (x * 2.0).reshape(1, 1)


def circle_and_line(x: Ball) -> Ball:
    """x^2 + y^2 = 1 and x = y: zeros at +-(1, 1)/sqrt 2."""
    radial = x[0:1] * x[0:1] + x[1:2] * x[1:2] - 1.0
    diagonal = x[0:1] - x[1:2]
    return Ball(
        np.concatenate([radial.mid, diagonal.mid]), np.concatenate([radial.rad, diagonal.rad])
    )


def circle_and_line_slope(x: Ball) -> Ball:
    twice = x * 2.0
    fixed = np.array([1.0, -1.0])
    return Ball(np.stack([twice.mid, fixed]), np.stack([twice.rad, np.zeros(2)]))


def proved(result: ZeroEnclosure | Refusal) -> ZeroEnclosure:
    assert isinstance(result, ZeroEnclosure), result
    return result


def test_root_of_two_is_enclosed_tightly():
    zero = proved(krawczyk(square, square_slope, np.array([1.4142135])))
    assert zero.box.lower()[0] ** 2 < 2 < zero.box.upper()[0] ** 2
    assert zero.radius[0] < 1e-6
    polished = newton(square, square_slope, np.array([1.0]))
    assert isinstance(polished, np.ndarray)
    assert proved(krawczyk(square, square_slope, polished)).radius[0] < 1e-14


def test_uniqueness_never_reaches_the_other_zero():
    rng = np.random.default_rng(1)
    for _ in range(100):
        start = math.sqrt(2) + rng.uniform(-0.3, 0.3)
        result = krawczyk(square, square_slope, np.array([start]))
        if isinstance(result, ZeroEnclosure):
            assert start - result.uniqueness_radius > -math.sqrt(2)
            assert result.uniqueness_radius >= result.radius.max()
            assert abs(start - math.sqrt(2)) < result.radius[0] * (1 + 1e-12)


def test_boxes_that_hold_a_critical_point_are_never_called_unique():
    """x^2 takes values twice around 0, so no box that holds 0 may pass."""
    tests = _Tests(Ball.exact([[0.25]]), square_slope, np.array([2.0]), np.zeros(1))
    for sigma in np.linspace(0.05, 6.0, 120):
        unique, growth = _at_most_one(tests, float(sigma))
        assert unique is bool(sigma < 2) and abs(growth - sigma / 2) < 1e-9


def test_two_dimensional_zero():
    zero = proved(krawczyk(circle_and_line, circle_and_line_slope, np.array([0.7071, 0.7072])))
    assert (np.abs(zero.center - math.sqrt(0.5)) < zero.radius).all()
    # The other zero lies sqrt 2 away in each coordinate.
    assert 0.1 < zero.uniqueness_radius < math.sqrt(2)


def test_T12_wrong_radius_is_refused_and_a_right_one_accepted():
    root = math.sqrt(2)
    for offset in (1e-6, -1e-6):
        center = np.array([root + offset])
        refused = krawczyk(square, square_slope, center, radius=1e-7)
        assert isinstance(refused, Refusal) and refused.reason is Reason.KRAWCZYK_NOT_CONTAINED
        accepted = proved(krawczyk(square, square_slope, center, radius=2e-6))
        assert accepted.radius[0] == 2e-6
        assert accepted.box.lower()[0] < root < accepted.box.upper()[0]


def test_claims_about_boxes_with_no_zero_or_with_two_are_refused():
    assert isinstance(krawczyk(square, square_slope, np.array([3.0]), radius=1.0), Refusal)
    assert isinstance(krawczyk(square, square_slope, np.array([0.01]), radius=2.0), Refusal)
    no_zero = krawczyk(lambda x: x * x + 2.0, square_slope, np.array([0.5]))
    assert isinstance(no_zero, Refusal)


def test_a_double_zero_is_refused():
    for center in (0.0, 1e-9, 1e-3):
        result = krawczyk(lambda x: x * x, square_slope, np.array([center]))
        assert isinstance(result, Refusal)
        assert result.reason in (Reason.JACOBIAN_SINGULAR, Reason.KRAWCZYK_NOT_CONTAINED)


def test_a_family_of_functions_is_enclosed_as_a_whole():
    """x^2 = c for every c within 1e-3 of 2."""
    family = krawczyk(
        lambda x: x * x - Ball(np.array([2.0]), np.array([1e-3])),
        square_slope,
        np.array([1.4142]),
    )
    zero = proved(family)
    for c in np.linspace(1.999, 2.001, 9):
        assert zero.box.lower()[0] < math.sqrt(c) < zero.box.upper()[0]


def test_newton_says_why_it_fails():
    singular = newton(lambda x: x * x, square_slope, np.array([0.0]))
    assert isinstance(singular, Refusal) and singular.reason is Reason.JACOBIAN_SINGULAR
    lost = newton(lambda x: x * x + 1.0, square_slope, np.array([0.7]))
    assert isinstance(lost, Refusal) and lost.reason is Reason.NEWTON_FAILED


def test_unbounded_enclosures_prove_nothing():
    nothing = Ball(np.zeros(1), np.array([np.inf]))
    result = krawczyk(lambda x: nothing, square_slope, np.array([1.4]))
    assert isinstance(result, Refusal) and result.reason is Reason.NONFINITE
    result = krawczyk(
        square,
        lambda x: square_slope(x) if x.is_point else nothing.reshape(1, 1),
        np.array([1.4142]),
    )
    assert isinstance(result, Refusal) and result.reason is Reason.KRAWCZYK_NOT_CONTAINED


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf, np.ones(2)])
def test_unusable_radii(radius):
    with pytest.raises(InputProblem):
        krawczyk(square, square_slope, np.array([1.4]), radius=radius)


def test_unusable_centers_and_unverified_functions():
    for center in (math.nan, math.inf):
        with pytest.raises(InputProblem):
            krawczyk(square, square_slope, np.array([center]))
    with pytest.raises(InputProblem, match="unverified"):
        krawczyk(lambda x: square(x) + Ball.unverified([0.0]), square_slope, np.array([1.4]))


def test_slopes_without_guarantee_or_enclosure_prove_nothing():
    def value(x: Ball) -> Ball:
        return x * x - 2.0

    def unverified(x: Ball) -> Ball:
        slope = (x * 2.0).reshape(1, 1)
        return slope if x.is_point else Ball(slope.mid, np.zeros((1, 1)), False)

    assert isinstance(krawczyk(value, unverified, np.array([1.4142135623])), Refusal)
    near_a_pole = krawczyk(enclose(jnp.log), enclose(jacobian(jnp.log)), np.array([1.0001]))
    assert isinstance(near_a_pole, ZeroEnclosure) and 0 < near_a_pole.uniqueness_radius < 1
