"""Relaxations hold everywhere, and no operator on boxes ever loses a zero."""

import numpy as np
from flint import arb

from limitset.proofs import _tanh_system
from limitset.proofs._ball import Ball
from limitset.proofs._tanh_system import TanhSystem, all_zeros_box, contract, relax_tanh
from proofs.arb_network import holds, precision


def intervals(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Wide, narrow, degenerate, saturated and symmetric intervals."""
    middle = rng.standard_normal(count) * 10.0 ** rng.uniform(-9, 2, count)
    half = np.abs(middle) * 10.0 ** rng.uniform(-16, 3, count)
    half[::7] = 0.0
    middle[::5] = 0.0
    lo, hi = middle - half, middle + half
    lo[::11] = 0.0
    # Chords so flat that they are steeper than tanh from about 15 on.
    hi[::13] = 10.0 ** rng.uniform(13, 18, len(hi[::13]))
    return np.minimum(lo, hi), np.maximum(lo, hi)


def test_relaxations_hold_at_arb_precision():
    rng = np.random.default_rng(5)
    lo, hi = intervals(rng, 2000)
    alpha, rest, values = relax_tanh(lo[:, None], hi[:, None])
    lower, upper = rest.lower()[:, 0], rest.upper()[:, 0]
    least, most = values.lower()[:, 0], values.upper()[:, 0]
    with precision():
        for i in range(len(lo)):
            a = arb(float(alpha[i, 0]))
            slope_is_a = np.arctanh(min(np.sqrt(1 - float(alpha[i, 0])), 1 - 1e-14))
            inner = [lo[i] + t * (hi[i] - lo[i]) for t in (0.0, 0.1, 0.5, 0.7, 1.0)]
            for y in [*inner, slope_is_a, -slope_is_a]:
                y = float(y)
                if not lo[i] <= y <= hi[i]:
                    continue
                g = arb(y).tanh() - a * arb(y)
                assert not g < arb(float(lower[i])) and not g > arb(float(upper[i])), (lo[i], hi[i])
                assert not arb(y).tanh() < arb(float(least[i]))
                assert not arb(y).tanh() > arb(float(most[i]))


def test_relaxations_are_of_second_order():
    for width in (1e-1, 1e-2, 1e-3):
        _, rest, _ = relax_tanh(np.array([[0.5]]), np.array([[0.5 + width]]))
        assert rest.rad[0, 0] < 0.11 * width**2


def planted(rng: np.random.Generator, m: int, k: int) -> tuple[TanhSystem, np.ndarray]:
    """A system with a zero at a known float vector: `d` encloses what makes it one."""
    A, C = rng.standard_normal((m, k)), rng.standard_normal((k, m))
    c, z = rng.standard_normal(k), 2 * rng.standard_normal(m)
    leak = float(rng.uniform(0.2, 2))
    with precision():
        rows = [
            arb(leak) * arb(z[i])
            - sum(
                (
                    arb(A[i, j])
                    * (sum((arb(C[j, q]) * arb(z[q]) for q in range(m)), arb(c[j]))).tanh()
                    for j in range(k)
                ),
                arb(0),
            )
            for i in range(m)
        ]
        d = np.array([float(row.mid()) for row in rows])
        radius = 1e-15 * (1 + np.abs(d))
        assert holds(d, radius, rows)
    system = TanhSystem(leak, Ball.exact(A), Ball.exact(C), Ball.exact(c), Ball(d, radius))
    return system, z


def test_contraction_never_loses_a_zero():
    rng = np.random.default_rng(6)
    for _ in range(25):
        m, k = int(rng.integers(1, 6)), int(rng.integers(1, 7))
        system, z = planted(rng, m, k)
        size = 10.0 ** rng.uniform(-14, 1.5, (200, m))
        lo, hi = z - size * rng.uniform(0, 1, size.shape), z + size * rng.uniform(0, 1, size.shape)
        # The zero in corners and on faces, and boxes that are points in some coordinates.
        lo[::3, 0], hi[::5, -1] = z[0], z[-1]
        for _ in range(4):
            result = contract(system, lo, hi)
            assert (result.lo <= z).all() and (z <= result.hi).all()
            lo, hi = result.lo, result.hi


def test_the_preconditioner_is_not_trusted(monkeypatch):
    """Whatever stands for the inverse, nothing is lost."""
    rng = np.random.default_rng(8)
    for scale in (0.0, 1e-3, 1.0, 1e6):
        system, z = planted(rng, 3, 4)
        anything = scale * rng.standard_normal((300, 3, 3))
        monkeypatch.setattr(_tanh_system, "_approximate_inverses", lambda *_, P=anything: P)
        size = 10.0 ** rng.uniform(-9, 1, (300, 3))
        lo, hi = z - size * rng.uniform(0, 1, size.shape), z + size * rng.uniform(0, 1, size.shape)
        result = contract(system, lo, hi)
        assert (result.lo <= z).all() and (z <= result.hi).all()


def test_all_zeros_lie_in_the_first_box():
    rng = np.random.default_rng(7)
    for _ in range(60):
        system, z = planted(rng, int(rng.integers(1, 6)), int(rng.integers(1, 7)))
        lo, hi = all_zeros_box(system)
        assert (lo <= z).all() and (z <= hi).all()


def test_singular_and_overflowing_preconditioners_lose_nothing():
    """At 0 the identity weight is exactly singular; huge weights overflow the float matrix."""
    one, zero = Ball.exact(np.eye(2)), Ball.exact(np.zeros(2))
    lo, hi = np.full((3, 2), -1e-9), np.full((3, 2), 1e-9)
    for A in (one, one * 1e300):
        for C in (one, one * 1e300):
            result = contract(TanhSystem(1.0, A, C, zero, zero), lo, hi)
            assert (result.lo <= 0).all() and (result.hi >= 0).all()
