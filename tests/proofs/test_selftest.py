"""The self-test passes here, is fast, and finds out each kind of broken arithmetic."""

import ctypes
import itertools
import os
import platform
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from limitset.networks import RateNetwork, shift_family
from limitset.proofs import (
    Ball,
    Refusal,
    _selftest,
    enclose_spectrum,
    is_positive_definite,
    prove_all_hopf,
    prove_equilibrium,
    prove_hopf,
    verified_solve,
)
from limitset.proofs._selftest import (
    CHECKS,
    Arithmetic,
    UnsoundArithmetic,
    failed_assumptions,
    require_sound_arithmetic,
)


def nudged(operation):
    """The same operation, rounded upwards."""
    return lambda *args, **kwargs: np.nextafter(operation(*args, **kwargs), np.inf)


def in_float32(operation):
    return lambda *args: operation(*(np.float32(a) for a in args)).astype(np.float64)


def doubly_rounded(x, y):
    """Additions on a machine that first rounds to 64 bits of mantissa."""
    return (np.asarray(x, np.longdouble) + np.asarray(y, np.longdouble)).astype(np.float64)


def flushing_inputs(operation):
    flush = lambda a: np.where(np.abs(a) < 2.0**-1022, 0.0, a)  # noqa: E731
    return lambda *args: operation(*(flush(np.asarray(a)) for a in args))


def flushing_results(operation):
    def flushed(*args):
        result = operation(*args)
        return np.where(np.abs(result) < 2.0**-1022, 0.0, result)

    return flushed


def accumulated_in_float32(a, b):
    """Factors as they are, and sums kept to 24 bits: tensor cores, and some fast modes."""
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total += np.outer(a[:, k], b[k]).astype(np.float32)
    return total.astype(np.float64)


def split_product(a, b):
    """Each factor kept to 24 + 24 bits relative to its largest entry, as emulations do."""
    scale = 2.0 ** (40 - np.frexp(np.abs(a).max())[1])
    return (np.rint(a * scale) / scale) @ b


def strassen(a, b):
    """One step of Strassen's recursion: accurate in norm, not entry by entry."""
    (m, n), k = a.shape, b.shape[1]
    if m % 2 or n % 2 or k % 2:
        return a @ b
    p, q, r = m // 2, n // 2, k // 2
    a11, a12, a21, a22 = a[:p, :q], a[:p, q:], a[p:, :q], a[p:, q:]
    b11, b12, b21, b22 = b[:q, :r], b[:q, r:], b[q:, :r], b[q:, r:]
    m1, m2, m3 = (a11 + a22) @ (b11 + b22), (a21 + a22) @ b11, a11 @ (b12 - b22)
    m4, m5 = a22 @ (b21 - b11), (a11 + a12) @ b22
    m6, m7 = (a21 - a11) @ (b11 + b12), (a12 - a22) @ (b21 + b22)
    return np.block([[m1 + m4 - m5 + m7, m3 + m5], [m2 + m4, m1 - m2 + m3 + m6]])


def ignoring_strides(a, b):
    return np.ascontiguousarray(a) @ (b if b.flags.c_contiguous else np.roll(b, 1, axis=0))


def unsigned_compare(x, y):
    return ~np.greater_equal(x, y)


def short_sum(x, axis):
    return x.astype(np.float32).sum(axis=axis).astype(np.float64)


BROKEN = {
    "rounding up": (Arithmetic(add=nudged(np.add)), "round to nearest"),
    "double rounding": (Arithmetic(add=doubly_rounded), "round to nearest"),
    "float32 sums": (Arithmetic(add=in_float32(np.add)), "round to nearest"),
    "truncated differences": (Arithmetic(subtract=in_float32(np.subtract)), "differences"),
    "subnormal inputs flushed": (
        Arithmetic(multiply=flushing_inputs(np.multiply)), "subnormal inputs"),
    "subnormal inputs flushed in products of matrices": (
        Arithmetic(matmul=flushing_inputs(np.matmul)), "subnormal inputs"),
    "large underflow": (
        Arithmetic(multiply=lambda x, y: np.multiply(x, y) + 1e-300), "underflow"),
    "products rounded up": (Arithmetic(multiply=nudged(np.multiply)), "products are correctly"),
    "quotients by reciprocals": (
        Arithmetic(divide=lambda x, y: np.multiply(x, np.divide(1.0, y))), "quotients"),
    "approximate roots": (Arithmetic(sqrt=lambda x: np.exp(0.5 * np.log(x))), "square roots"),
    "roots off by one": (Arithmetic(sqrt=nudged(np.sqrt)), "square roots"),
    "NaN below everything": (Arithmetic(less=unsigned_compare), "NaN"),
    "NaN called finite": (Arithmetic(is_finite=lambda x: np.full(np.shape(x), True)), "NaN"),
    "saturating overflow": (
        Arithmetic(add=lambda x, y: np.clip(np.add(x, y), -1.7e308, 1.7e308)), "overflow"),
    "wrong neighbours": (Arithmetic(next_above=lambda x: x * (1 + 2.0**-52)), "neighbouring"),
    "float32 products": (Arithmetic(matmul=in_float32(np.matmul)), "small integers"),
    "float32 accumulation": (Arithmetic(matmul=accumulated_in_float32), "small integers"),
    "float32 accumulation, seen in real products": (
        Arithmetic(matmul=accumulated_in_float32), "componentwise"),
    "split products": (Arithmetic(matmul=split_product), "componentwise"),
    "Strassen": (Arithmetic(matmul=strassen), "componentwise"),
    "ignored strides": (Arithmetic(matmul=ignoring_strides), "componentwise"),
    "float32 sums over an axis": (Arithmetic(total=short_sum), "sums over an axis"),
}  # fmt: skip


def test_this_machine_passes():
    assert failed_assumptions(Arithmetic()) == []
    require_sound_arithmetic()


def test_flushing_results_to_zero_is_allowed():
    """The bounds pay for it; only inputs must be read as they are."""
    flushing = Arithmetic(
        multiply=flushing_results(np.multiply),
        divide=flushing_results(np.divide),
        matmul=flushing_results(np.matmul),
    )
    assert failed_assumptions(flushing) == []


def test_other_orders_of_summation_are_allowed():
    backwards = Arithmetic(matmul=lambda a, b: np.matmul(a[:, ::-1], b[::-1]))
    assert failed_assumptions(backwards) == []


@pytest.mark.parametrize("name", BROKEN)
def test_T15_broken_arithmetic_is_found_out(name: str):
    arithmetic, wording = BROKEN[name]
    failed = failed_assumptions(arithmetic)
    assert any(wording in assumption for assumption in failed), failed


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.assumption)
def test_every_check_can_fail(check: _selftest.Check):
    assert any(failed_assumptions(arithmetic, (check,)) for arithmetic, _ in BROKEN.values())


def test_failure_names_the_assumption(monkeypatch: pytest.MonkeyPatch):
    broken = BROKEN["rounding up"][0]
    monkeypatch.setattr(_selftest, "Arithmetic", lambda: broken)
    with pytest.raises(UnsoundArithmetic, match="round to nearest") as refusal:
        require_sound_arithmetic()
    assert "\n" not in str(refusal.value)


TURN = np.array([[0.0, -2.0], [2.0, 0.0]])
PROVERS = (
    lambda: verified_solve(Ball.exact(TURN), Ball.exact(TURN)),
    lambda: is_positive_definite(Ball.exact(np.eye(2))),
    lambda: enclose_spectrum(Ball.exact(TURN)),
    lambda: prove_all_hopf(TURN + 0.1 * np.triu(TURN)),
    lambda: prove_equilibrium(RateNetwork(jnp.asarray(TURN)), np.zeros(2)),
    lambda: prove_hopf(
        shift_family(RateNetwork(jnp.asarray(TURN))), 1.0, 2.0, np.zeros(2), np.array([1.0, -1.0j])
    ),
)


@pytest.mark.parametrize("direction", [0x400, 0x800, 0xC00], ids=["down", "up", "to zero"])
@pytest.mark.skipif(platform.machine() != "x86_64", reason="mode numbers are those of x86-64")
def test_T16_another_rounding_direction_is_refused_in_every_call(direction: int):
    """The mode can change after the first, cached, run."""
    require_sound_arithmetic()
    library = ctypes.CDLL(None)
    if not hasattr(library, "fesetround"):
        pytest.skip("the C library does not export fesetround")
    assert library.fesetround(direction) == 0
    try:
        with pytest.raises(UnsoundArithmetic, match="round to nearest"):
            require_sound_arithmetic()
        for prove in PROVERS:
            with pytest.raises(UnsoundArithmetic, match="round to nearest"):
                prove()
    finally:
        library.fesetround(0)
    require_sound_arithmetic()
    for prove in PROVERS:
        assert not isinstance(prove(), Refusal)


THREADS = """
import sys
import numpy as np
from limitset.proofs import Ball, prove_all_hopf, two_norm_upper, verified_solve
rng = np.random.default_rng(16)
A = rng.standard_normal((400, 400))
wide = Ball(A, np.abs(A) * 1e-9)
R, S = rng.standard_normal((120, 120)), rng.standard_normal((120, 120))
points = prove_all_hopf(R - R.T + 0.1 * S)
assert points.complete
balls = [Ball.exact(A) @ A, wide @ wide, verified_solve(Ball.exact(A), Ball.exact(A[:, :3]))]
balls += [points.proved.parameter, points.proved.frequency, points.proved.coefficient]
balls += [Ball.from_bounds(0.0, two_norm_upper(wide))]
ends = {f"{k} {side}": getattr(ball, side)() for k, ball in enumerate(balls)
        for side in ("lower", "upper")}
np.savez(sys.argv[1], **ends)
"""


def test_T16_results_with_other_numbers_of_threads_overlap(tmp_path: Path):
    """Sums in another order may differ in their last bits."""
    found = []
    for threads in ("1", "2", "4"):
        path = tmp_path / f"{threads}.npz"
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", THREADS, str(path)]
        subprocess.run(command, env=environment, check=True, timeout=120)
        with np.load(path) as ends:
            found.append(dict(ends))
    for one, other in itertools.combinations(found, 2):
        assert one.keys() == other.keys() and len(one) == 14
        for k in range(7):
            assert (one[f"{k} lower"] <= other[f"{k} upper"]).all()
            assert (other[f"{k} lower"] <= one[f"{k} upper"]).all()


def test_self_test_is_fast():
    failed_assumptions(Arithmetic())
    timings = []
    for _ in range(5):
        start = time.perf_counter()
        failed_assumptions(Arithmetic())
        timings.append(time.perf_counter() - start)
    assert min(timings) < 0.15


def test_exact_bound_of_dot_products_is_sharp_enough_to_fail():
    row, column = np.array([1.0, 2.0**-30]), np.array([1.0, 1.0])
    exact = 1 + Fraction(1, 2**30)
    assert _selftest._dot_errs_little(row, column, float(exact))
    assert not _selftest._dot_errs_little(row, column, 1.0)
    assert not _selftest._dot_errs_little(row, column, float("nan"))
