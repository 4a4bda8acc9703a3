"""Refined Hopf points: signs that float64 leaves open, and none that does not exist."""

from collections.abc import Callable, Iterator
from pathlib import Path

import flint
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flint import acb, acb_mat, arb, arb_mat

from limitset import InputProblem
from limitset.analysis import HopfCandidate, find_hopf_points
from limitset.checker import check
from limitset.io import write_proof
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import HopfPoint, Reason, Refusal, prove_hopf, refine_hopf
from proofs.judging import contains, holds, proved, refused

Field = Callable[[jax.Array, jax.Array], jax.Array]

# Unimodular, so that its inverse is exact.
SKEW = jnp.array([[2.0, 1.0], [1.0, 1.0]])
SKEW_INVERSE = jnp.array([[1.0, -1.0], [-1.0, 2.0]])


@pytest.fixture(autouse=True)
def no_shape_checks() -> Iterator[None]:
    """Programs are traced anew for each point: checks of shapes would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pure(weight: np.ndarray) -> RateFamily:
    """`x' = tanh((W + a I) x)`."""
    return shift_family(RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0))


def two(d: float, c1: float, c2: float) -> np.ndarray:
    return np.array([[d, -c1], [c2, -d]])


def oblique(weight: np.ndarray) -> Field:
    """The same network in other coordinates, in which float64 rounds at each step."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        y = SKEW_INVERSE @ x
        return SKEW @ jnp.tanh(jnp.asarray(weight) @ y + a * y)

    return field


def candidates(weight: np.ndarray) -> list[HopfCandidate]:
    """Of the pure class: the eigenvalues of the upper half plane."""
    values, vectors = np.linalg.eig(weight.astype(float))
    rest = np.zeros(len(weight))
    return [
        HopfCandidate(-float(v.real), float(v.imag), rest, vectors[:, k].astype(complex))
        for k, v in enumerate(values)
        if v.imag > 0
    ]


def refine(field: Field, c: HopfCandidate, precision: int = 250) -> HopfPoint | Refusal:
    return refine_hopf(field, c.parameter, c.frequency, c.state, c.vector, precision=precision)


def prove(field: Field, c: HopfCandidate) -> HopfPoint | Refusal:
    return prove_hopf(field, c.parameter, c.frequency, c.state, c.vector)


def assert_overlap(one: HopfPoint, other: HopfPoint) -> None:
    for name in ("parameter", "frequency", "state", "crossing", "lyapunov_coefficient"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a.lower() <= b.upper()).all() and (b.lower() <= a.upper()).all(), name
    assert one.unstable == other.unstable


@pytest.mark.parametrize(
    ("d", "known", "digit"),
    [(1e-10, 2.3570226e-11, 1e-18), (1e-13, 2.3570226e-14, 1e-21), (1e-15, 2.3570226e-16, 1e-23)],
)
def test_T13_the_ladder_has_its_signs_and_digits(d: float, known: float, digit: float):
    """`l1 = sqrt(2) d / 6` to first order; enclosures of all precisions overlap."""
    for sign in (1.0, -1.0):
        weight = two(sign * d, 1.0, 2.0)
        start = candidates(weight)[0]
        points = [proved(refine(pure(weight), start, bits)) for bits in (106, 500)]
        for point in points:
            assert contains(point.lyapunov_coefficient, sign * known, 0.5 * digit)
            assert point.lyapunov_coefficient.rad <= 1e-8 * known
            assert point.is_supercritical == (sign < 0)
            assert_overlap(point, points[-1])
        floats = prove(pure(weight), start)
        if isinstance(floats, HopfPoint):
            assert_overlap(floats, points[-1])


@pytest.mark.parametrize(("d", "decided"), [(1e-10, True), (1e-15, False), (1e-30, False)])
def test_T13_what_float64_leaves_undecided_is_refined(d: float, decided: bool):
    for sign in (1.0, -1.0):
        weight = two(sign * d, 1.0, 2.0)
        c = candidates(weight)[0]
        turned = HopfCandidate(c.parameter, c.frequency, c.state, np.asarray(SKEW) @ c.vector)
        floats = prove(oblique(weight), turned)
        point = proved(refine(oblique(weight), turned))
        # |SKEW q|^2 for the critical vector q of d = 0.
        scale = float(np.linalg.norm(np.asarray(SKEW) @ np.array([1.0, -1j * 2**0.5])) ** 2 / 3)
        known = sign * 2**0.5 * d / 6 / scale
        assert contains(point.lyapunov_coefficient, known, 1e-7 * abs(known))
        assert point.is_supercritical == (sign < 0)
        assert isinstance(floats, HopfPoint) == decided, floats
        if isinstance(floats, HopfPoint):
            assert_overlap(floats, point)
        else:
            assert floats.reason == Reason.LYAPUNOV_SIGN_UNDECIDED
            assert "refine_hopf" in floats.message
            lower, upper = floats.numbers["lower"], floats.numbers["upper"]
            assert lower <= known <= upper


@pytest.mark.parametrize(
    "weight",
    [two(0.0, 1.0, 2.0), two(0.3, 1.5, 1.5), np.array([[0, 1.0, 2], [-1, 0, 3], [-2, -3, 0]])],
    ids=["d=0", "c1=c2", "skew"],
)
def test_T2_a_coefficient_of_0_has_no_sign_at_any_precision(weight: np.ndarray):
    for precision in (106, 1000):
        answer = refine(pure(weight), candidates(weight)[0], precision)
        if len(weight) == 3:
            # At rest the Jacobian of an odd skew matrix is singular.
            assert refused(answer) == Reason.JACOBIAN_SINGULAR
            continue
        assert refused(answer) == Reason.LYAPUNOV_SIGN_UNDECIDED
        assert isinstance(answer, Refusal) and f"{precision} bits" in answer.message


def exact_coefficients(weight: np.ndarray) -> dict[float, arb]:
    """`w^2 Im sum conj(p_i) q_i |q_i|^2` by frequency, from Arb's eigenvectors."""
    n = len(weight)
    values, left, right = acb_mat(arb_mat(weight.astype(float).tolist())).eig(left=True, right=True)
    found = {}
    for k, value in enumerate(values):
        if value.imag > 0:
            q = [right[i, k] for i in range(n)]
            size = sum((abs(z) ** 2 for z in q), arb(0)).sqrt()
            q = [z / size for z in q]
            p = [left[k, i] for i in range(n)]
            product = sum((u * v for u, v in zip(p, q, strict=True)), acb(0))
            terms = (u * v * abs(v) ** 2 for u, v in zip(p, q, strict=True))
            total = sum(terms, acb(0)) / product
            found[float(value.imag.mid())] = value.imag * value.imag * total.imag
    return found


@pytest.mark.parametrize("size", [1e-4, 1e-13])
def test_T9_signs_of_a_nearly_skew_float32_network_are_true(size: float):
    """The smaller the perturbation, the smaller the coefficients; here down to 1e-15."""
    rng = np.random.default_rng(9)
    A = rng.standard_normal((10, 10))
    general = rng.standard_normal((10, 10))
    # Skew in float32 as well; below its resolution the perturbation is a sparse one.
    skew = (A - A.T).astype(np.float32)
    near = np.triu(skew) + np.tril(skew) + np.diag(size * np.diag(general))
    near = (near if size < 1e-8 else skew + size * general).astype(np.float32)
    with flint.ctx.workprec(500):
        exact = exact_coefficients(near)
    for c in candidates(near)[:3]:
        truth = exact[min(exact, key=lambda w: abs(w - c.frequency))]
        floats = prove(pure(near), c)
        for precision in (106, 200):
            point = proved(refine(pure(near), c, precision))
            assert holds(point.lyapunov_coefficient, truth)
            assert point.is_supercritical == bool(truth < 0)
            if isinstance(floats, HopfPoint):
                assert_overlap(floats, point)


def test_biased_networks_agree_with_float64():
    rng = np.random.default_rng(32)
    weight, bias = rng.standard_normal((5, 5)) / np.sqrt(5), 0.8 * rng.standard_normal(5)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    family = gain_family(network)
    for c in find_hopf_points(family, [np.tanh(bias)], (0.0, 3.0), step=0.1):
        point, floats = proved(refine(family, c)), proved(prove(family, c))
        assert_overlap(point, floats)
        for name in ("parameter", "frequency", "state", "crossing", "lyapunov_coefficient"):
            ball = getattr(point, name)
            assert (ball.rad <= 4 * np.finfo(float).eps * np.abs(ball.mid).max()).all()


@pytest.mark.parametrize(("d", "bias"), [(1e-13, 0.0), (1e-15, 0.3), (1e-25, 0.3)])
def test_the_checker_confirms_refined_points(d: float, bias: float, tmp_path: Path):
    weight, biases = two(d, 1.0, 2.0), jnp.array([bias, -bias])
    network = RateNetwork(jnp.asarray(weight), bias=biases, form="firing_rate", leak=0.0)
    c = candidates(weight)[0]
    start = HopfCandidate(c.parameter, c.frequency, -np.linalg.solve(weight, biases), c.vector)
    point = proved(refine(shift_family(network), start))
    verdict = check(write_proof(point, shift_family(network), tmp_path / "hopf.json"))
    assert verdict.accepted, verdict.reason


def test_powers_at_the_origin():
    """Arb's powers are NaN for balls around 0; the resolvent terms alone give the coefficient."""

    def field(x: jax.Array, a: jax.Array) -> jax.Array:
        x, y, z = x
        bent = 0.5 * (x**2 + y**2) + y**3 * 0.0
        return jnp.stack([a * x - y + x * z, x + a * y + y * z, -z + bent])

    start = HopfCandidate(0.01, 1.01, np.zeros(3), np.array([1.0, -1.0j, 0.0]))
    point = proved(refine(field, start))
    assert contains(point.lyapunov_coefficient, 1.0) and not point.is_supercritical


def test_what_is_no_hopf_point_is_refused():
    double = np.kron(np.eye(2), two(0.3, 1.0, 2.0))
    double[2:, 2:] = two(0.3, 2.0, 1.0) * 1.25
    assert refused(refine(pure(double), candidates(double)[0])) == Reason.SPECTRUM_NOT_SEPARATED
    real = np.diag([0.3, -0.2, 0.1])
    real[0, 1] = 0.5
    start = HopfCandidate(-0.3, 0.0, np.zeros(3), np.array([1.0, 1e-3j, 0.0]))
    assert isinstance(refine(pure(real), start), Refusal)
    turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    start = HopfCandidate(0.0, 1.0, np.zeros(2), np.array([1.0, -1.0j]))
    bent = refine(lambda x, a: turn @ x + a * x - jnp.maximum(x, 0.0) ** 3, start)
    assert refused(bent) == Reason.BRANCH_UNDECIDED
    # Newton's method has nowhere to go: no field without a pair on the axis has a point.
    for far in (1e3, 1e150):
        lost = HopfCandidate(far, far, np.full(2, far), np.array([1.0, -1.0j]))
        assert isinstance(refine(lambda x, a: -x - a * a * x**3, lost), Refusal)
    flat = HopfCandidate(0.0, 1.0, np.zeros(2), np.zeros(2, complex))
    assert refused(refine(pure(two(0.3, 1.0, 2.0)), flat)) == Reason.NEWTON_FAILED


def test_precision_is_checked_and_restored():
    weight = two(0.3, 1.0, 2.0)
    start = candidates(weight)[0]
    for precision in (0, 53, -5):
        with pytest.raises(InputProblem, match="bits"):
            refine(pure(weight), start, precision)
    with pytest.raises(InputProblem, match="no candidate"):
        refine(pure(weight), HopfCandidate(np.nan, 1.0, start.state, start.vector))
    before = flint.ctx.prec
    proved(refine(pure(weight), start))
    assert flint.ctx.prec == before
