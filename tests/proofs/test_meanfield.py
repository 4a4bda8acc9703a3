"""Verified mean-field points and boundaries: known tables, integrals of another kind, refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from limitset import Evidence, InputProblem
from limitset.networks import ERF_PROBIT, TANH_LOGISTIC, GatedParameters, Nonlinearity
from limitset.proofs import (
    Reason,
    Refusal,
    Stability,
    enclose_output_gain_thresholds,
    enclose_stability_number,
    prove_all_fixed_points,
    prove_birth,
    prove_fixed_point,
    prove_marginal_boundary,
    prove_phase_boundary,
)
from limitset.proofs._gaussian_average import GaussianAverages
from limitset.proofs._meanfield import BITS
from limitset.proofs._meanfield_boundaries import _last_turn
from limitset.proofs._meanfield_conditions import Ensemble, hull, turning_condition
from limitset.proofs._scalar_zeros import isolate, zero_near
from proofs.arb_mean_field import excess, moments, stability
from proofs.judging import proved, refused

pytestmark = pytest.mark.usefixtures("high_precision", "no_shape_checks")

Interval = tuple[float, float]


def near(interval: Interval, value: float, slack: float, width: float = 4e-16) -> bool:
    """Whether a table's value, rounded by up to `slack`, is in a narrow interval."""
    low, high = interval
    return low - slack <= value <= high + slack and 0 <= high - low <= width * max(1.0, high)


MINUS = -1.0

# gain, output gain, then variance of h, of the gates, and K, to the digits known.
TABLE = [
    (2.2, 0.0, [(0.023295, 0.093182, 1.01019)]),
    (2.5, 0.0, [(0.052234, 0.208937, 1.04819)]),
    (3.0, 0.0, [(0.088150, 0.352602, 1.13932)]),
    (3.0, 5.0, [(0.200083, 0.501287, 2.05145)]),
    (3.0, 10.0, [(0.237655, 0.531803, 2.82905)]),
    (1.9, 10.0, [(0.001762, 0.006282, 1.1107), (0.079458, 0.191239, 1.7456)]),
    (1.9, 20.0, [(0.000388, 0.001397, 1.1015), (0.107629, 0.234239, 2.5355)]),
]


@pytest.mark.parametrize(("gain", "output_gain", "rows"), TABLE)
def test_gating_02_fixed_point_roots_verified(gain: float, output_gain: float, rows: list):
    parameters = GatedParameters(gain=gain, output_gain=output_gain)
    found = prove_all_fixed_points(parameters)
    assert found.complete and found.evidence is Evidence.VERIFIED
    zero, *others = found.roots
    assert zero.state_variance == (0.0, 0.0)
    assert zero.stability is (Stability.STABLE if gain < 2 else Stability.UNSTABLE)
    assert near(zero.stability_number, gain**2 / 4, 1e-15)
    for root, (variance, gate_variance, number) in zip(others, rows, strict=True):
        assert near(root.state_variance, variance, 1e-6)
        assert near(root.gate_variance, gate_variance, 1e-6)
        assert near(root.stability_number, number, 1e-4) and root.stability is Stability.UNSTABLE
        assert root.unique_within[0] < root.state_variance[0]
        assert root.state_variance[1] < root.unique_within[1]
        # The equation changes its sign within the interval, by another kind of integration.
        low, high = (
            excess("tanh_logistic", arb(D), gain=gain, output_gain=output_gain)
            for D in root.state_variance
        )
        assert low * high < 0
        reference = stability(
            "tanh_logistic", arb(root.state_variance[0]), gain=gain, output_gain=output_gain
        )
        assert abs(reference - root.stability_number[0]) < 1e-14
        # Two ways to the same record.
        single = proved(prove_fixed_point(parameters, variance))
        assert single.state_variance == root.state_variance
        assert single.stability_number == root.stability_number


@pytest.mark.parametrize("output_gain", [0.0, 7.0])
def test_closed_forms_of_the_error_function(output_gain: float):
    """`D = (2/pi) asin(A v / (1 + A v)) (1/4 + asin(w / (1 + w)) / (2 pi))`."""
    gain = 2.9
    parameters = GatedParameters(gain=gain, output_gain=output_gain, nonlinearity=ERF_PROBIT)
    found = prove_all_fixed_points(parameters)
    assert found.complete and len(found.roots) == 2
    pi = arb.pi()

    def residual(D: float) -> arb:
        A = pi / 2 * arb(gain) ** 2
        q = 2 / pi * (A * D / (1 + A * D)).asin()
        w = pi / 8 * arb(output_gain) ** 2 * q
        return q * (arb(1) / 4 + (w / (1 + w)).asin() / (2 * pi)) - D

    low, high = (residual(D) for D in found.roots[1].state_variance)
    assert low > 0 and high < 0


# Output gain, birth gain, variance there, marginal gain.
CURVES = [
    (3.0, 1.99871, 0.002727, 3.6442),
    (4.0, 1.96383, 0.012908, 3.2222),
    (6.0, 1.87385, 0.020294, 2.6823),
    (10.0, 1.75398, 0.022073, 2.1206),
    (20.0, 1.62783, 0.018279, 1.6811),
    (30.0, 1.57552, 0.015163, 1.5811),
]


@pytest.mark.parametrize(("output_gain", "birth_gain", "variance", "marginal_gain"), CURVES)
def test_gating_05_births_and_marginal_gains_verified(
    output_gain: float, birth_gain: float, variance: float, marginal_gain: float
):
    boundary = proved(prove_phase_boundary(output_gain))
    assert boundary.has_wedge and boundary.critical_gain == (2.0, 2.0)
    assert near(boundary.birth_gain, birth_gain, 1e-5)
    (turn,) = boundary.turning_points
    assert turn.roots_above and near(turn.state_variance, variance, 1e-6)
    assert turn.stability_number[0] > 1
    candidate = GatedParameters(gain=birth_gain, output_gain=output_gain)
    assert proved(prove_birth(candidate, variance)) == turn
    above = GatedParameters(gain=marginal_gain, output_gain=output_gain)
    root = prove_all_fixed_points(above).roots[-1]
    marginal = proved(prove_marginal_boundary(above, root.state_variance[0]))
    assert near(marginal.gain, marginal_gain, 1e-4) and marginal.rises
    if output_gain in (3.0, 10.0):
        (D, _), (g, _) = marginal.state_variance, marginal.gain
        at_boundary = stability("tanh_logistic", arb(D), gain=g, output_gain=output_gain)
        assert abs(at_boundary - 2) < 1e-13


@pytest.mark.parametrize(
    ("fraction", "gain"), [(0.9, 1.4288), (0.75, 1.9378), (0.5, 3.27318), (0.25, 7.0844)]
)
def test_gating_05_marginal_gains_of_open_output_gates_verified(fraction: float, gain: float):
    parameters = GatedParameters(gain=gain, open_output=True)
    variance = prove_all_fixed_points(parameters).roots[-1].state_variance[0]
    found = proved(prove_marginal_boundary(parameters, variance, open_fraction=fraction))
    assert near(found.gain, gain, 1e-4) and found.rises and found.open_fraction == fraction


def test_gating_05_births_tend_to_the_root_of_two():
    gains = [proved(prove_phase_boundary(10.0**k)).birth_gain for k in (2, 4, 6)]
    assert near(gains[0], 1.48417, 1e-5)
    assert all(later[1] < earlier[0] for earlier, later in zip(gains, gains[1:], strict=False))
    assert all(low > 2**0.5 for low, _ in gains) and gains[-1][1] < 2**0.5 + 2e-4


def test_gating_03_threshold_of_the_wedge_verified():
    found = proved(enclose_output_gain_thresholds())
    for enclosure, square in (
        (found.fixed_points, 8),
        (found.chaos, 12),
        (found.input_instability, 4),
    ):
        assert enclosure is not None and arb(enclosure[0]) ** 2 <= square <= arb(enclosure[1]) ** 2
        assert enclosure[1] - enclosure[0] < 1e-15
    assert not proved(prove_phase_boundary(2.828)).has_wedge
    assert proved(prove_phase_boundary(2.829)).has_wedge
    closed = proved(enclose_output_gain_thresholds(nonlinearity=ERF_PROBIT))
    assert closed.fixed_points is not None and closed.chaos is not None
    assert near(closed.fixed_points, math.sqrt(2 * math.pi), 1e-15, 1e-15)
    assert near(closed.chaos, math.sqrt(3 * math.pi), 1e-15, 1e-15)


@pytest.mark.parametrize(
    ("bias", "wanted"),
    [
        (-1.0, (3.7183, 1.5142, 1.6974, 1.1924)),
        (0.5, (1.6065, 6.3201, 27.962, 3.2224)),
        (0.6, (1.5488, 9.4629, None, 3.6774)),
        (1.2, (1.3012, None, None, None)),
        (math.log(2.0), (1.5, None, None, 4.2426)),
    ],
)
def test_thresholds_with_a_bias(bias: float, wanted: tuple):
    found = proved(enclose_output_gain_thresholds(bias))
    given = (found.critical_gain, found.fixed_points, found.chaos, found.input_instability)
    # Near ln 2 the float lies on one side, which 128 bits can tell, or the threshold is enormous.
    for enclosure, value in list(zip(given, wanted, strict=True))[
        :: 1 if bias != math.log(2) else 3
    ]:
        assert (enclosure is None) == (value is None)
        assert enclosure is None or near(enclosure, value, 5e-4, 1e-15)


def test_wedge_beyond_the_thresholds():
    """A gate so far open that small amplitudes never turn round has a wedge all the same."""
    bias, output_gain = 0.7, 20.0
    assert proved(enclose_output_gain_thresholds(bias)).fixed_points is None
    boundary = proved(prove_phase_boundary(output_gain, output_bias=bias))
    assert boundary.has_wedge and [b.roots_above for b in boundary.turning_points] == [False, True]
    assert 1.4912 < boundary.birth_gain[0] and boundary.critical_gain[0] > 1.4965
    assert "others" in boundary.statement and "exactly" not in boundary.statement
    # Between the two the reference finds solutions, at a zero state with K < 1.
    gain = 1.494
    numbers = {"gain": gain, "output_gain": output_gain, "output_bias": bias}
    signs = [excess("tanh_logistic", arb(D), **numbers) > 0 for D in (1e-4, 5e-3, 0.05)]
    assert signs == [False, True, False]
    found = prove_all_fixed_points(
        GatedParameters(gain=gain, output_gain=output_gain, output_bias=bias)
    )
    assert found.complete and len(found.roots) == 3
    assert found.roots[0].stability is Stability.STABLE


def test_statements_name_the_limit():
    continuous = proved(prove_phase_boundary(2.0))
    assert not continuous.has_wedge and continuous.turning_points == ()
    assert continuous.birth_gain == continuous.critical_gain == (2.0, 2.0)
    for boundary in (continuous, proved(prove_phase_boundary(10.0))):
        assert boundary.statement.startswith("As n -> infinity")
        assert boundary.evidence is Evidence.VERIFIED


def test_next_to_a_birth_one_or_three():
    birth = proved(prove_phase_boundary(10.0)).birth_gain
    for gain, count in ((birth[0] - 1e-9, 1), (birth[0], 1), (birth[1], 3), (birth[1] + 1e-9, 3)):
        found = prove_all_fixed_points(GatedParameters(gain=gain, output_gain=10.0))
        assert len(found.roots) == count if found.complete else gain in birth
    assert refused(prove_fixed_point(GatedParameters(gain=1.7, output_gain=10.0), 0.022))


@pytest.mark.parametrize(
    ("gain", "output_gain", "count"),
    [(2.0, 1.0, 1), (2.0, 5.0, 2), (2.00001, 2.8284271, 2), (1.99999, 2.83, 1), (2.001, 1.0, 2)],
)
def test_at_and_next_to_the_critical_gain(gain: float, output_gain: float, count: int):
    found = prove_all_fixed_points(GatedParameters(gain=gain, output_gain=output_gain))
    assert found.complete and len(found.roots) == count
    zero = found.roots[0]
    if gain == 2:
        assert zero.stability_number == (1.0, 1.0) and zero.stability is Stability.UNDECIDED
    # The interval in which zero is alone reaches to no other root.
    assert (
        0 < zero.unique_within[1] < min((r.state_variance[0] for r in found.roots[1:]), default=1)
    )


def test_stability_that_straddles_one_is_undecided():
    parameters = GatedParameters(gain=1.5, output_gain=10.0)
    assert enclose_stability_number(parameters, 0.0).stability is Stability.STABLE
    wide = enclose_stability_number(parameters, (0.0, 0.02))
    assert wide.number[0] < 1 < wide.number[1] and wide.stability is Stability.UNDECIDED
    exact = enclose_stability_number(GatedParameters(gain=2.0), 0.0)
    assert exact.number == (1.0, 1.0) and exact.stability is Stability.UNDECIDED


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (1e-12, Reason.NEWTON_FAILED),
        (0.9, Reason.NEWTON_FAILED),
        (1e7, Reason.NEWTON_FAILED),
        (5e-324, Reason.NEWTON_FAILED),
        (0.02, Reason.NEWTON_FAILED),
    ],
)
def test_candidates_far_from_roots_are_refused(candidate: float, reason: Reason):
    parameters = GatedParameters(gain=1.9, output_gain=10.0)
    assert refused(prove_fixed_point(parameters, candidate)) in (reason, Reason.JACOBIAN_SINGULAR)


def test_zero_state_needs_symmetry():
    zero = proved(prove_fixed_point(GatedParameters(gain=1.9, output_gain=10.0), 0.0))
    assert zero.state_variance == (0.0, 0.0) and zero.unique_within[1] > 0
    assert refused(prove_fixed_point(GatedParameters(state_bias=0.1), 0.0)) is Reason.NOT_SYMMETRIC
    assert refused(prove_fixed_point(GatedParameters(), 0.0, 0.1)) is Reason.NOT_SYMMETRIC


def test_inputs_and_biases_push_zero_away():
    found = prove_all_fixed_points(GatedParameters(gain=1.5, output_gain=30.0), 0.001)
    assert found.complete and len(found.roots) == 1
    assert near(found.roots[0].stability_number, 1.49, 5e-3)
    biased = GatedParameters(gain=1.9, output_gain=10.0, state_bias=0.01, output_bias=0.1)
    found = prove_all_fixed_points(biased)
    assert found.complete and found.roots[0].state_variance[0] > 0
    for root in found.roots:
        q, _, m, _ = moments(
            "tanh_logistic",
            arb(root.state_variance[0]),
            gain=1.9,
            output_gain=10.0,
            state_bias=0.01,
            output_bias=0.1,
        )
        assert abs(q * m - root.state_variance[0]) < 1e-15
    faint = prove_all_fixed_points(GatedParameters(gain=1.5, output_gain=30.0), 1e-300)
    assert faint.complete and near(faint.roots[0].stability_number, 0.5625, 1e-12)


@pytest.mark.parametrize(
    ("gain", "output_gain"), [(1e6, 1e6), (1e6, 0.0), (1.5, 1e6), (1e-6, 1e6), (3.0, 1e-9)]
)
def test_enormous_gains(gain: float, output_gain: float):
    found = prove_all_fixed_points(GatedParameters(gain=gain, output_gain=output_gain))
    assert found.complete
    for root in found.roots[1:]:
        low, high = root.state_variance
        assert 0 < low <= high < 1 and high - low < 1e-15
    if gain == 1e6 and output_gain:
        # Both functions are steps: half of the units are on, all say 1 or -1.
        assert 0.4999 < found.roots[1].state_variance[0] < 0.5


def test_limits_of_pieces_leave_gaps_not_claims():
    parameters = GatedParameters(gain=1.9, output_gain=10.0)
    full = prove_all_fixed_points(parameters)
    for limit in (1, 5, 15):
        found = prove_all_fixed_points(parameters, max_pieces=limit)
        if found.complete:
            assert len(found.roots) == 3
        else:
            assert found.refusal is not None
            assert found.refusal.reason is Reason.SEARCH_NOT_FINISHED
            for root in full.roots:
                known = any(r.state_variance == root.state_variance for r in found.roots)
                low, high = root.state_variance
                assert known or any(a <= low and high <= b for a, b in found.undecided)
    refusal = prove_phase_boundary(10.0, max_pieces=3)
    assert refused(refusal) is Reason.SEARCH_NOT_FINISHED


def test_gain_at_the_threshold_is_undecided_not_wrong():
    boundary = prove_phase_boundary(2.828427125)
    assert isinstance(boundary, Refusal) or boundary.birth_gain[0] <= 2.0


def test_last_turn_is_beyond_all_turns():
    """The bound on paper, against values: `v P' < P` there and beyond."""
    for pair in (TANH_LOGISTIC, ERF_PROBIT):
        for bias, output_gain in ((0.0, 0.0), (0.0, 30.0), (-3.0, 5.0), (2.0, 1e4)):
            averages = GaussianAverages(pair.name, BITS)
            ensemble = Ensemble(averages, 0.0, bias, output_gain, False, 0.0)
            with averages.session():
                last = _last_turn(ensemble)
                condition = turning_condition(ensemble)
                assert all(condition(arb(last * k))[0] < 0 for k in (1, 3, 100, 1e6))


def test_scalar_zeros_of_a_polynomial():
    """`(v - 1) (v - 2) (v - 4)^2`: two simple zeros are found, the double one is left open."""

    def condition(v: arb) -> tuple[arb, arb, arb]:
        a, b, c = v - 1, v - 2, v - 4
        slope = (a + b) * c * c + 2 * a * b * c
        return a * b * c * c, slope, 2 * c * c + 4 * (a + b) * c + 2 * a * b

    found = isolate(condition, 0.3, 9.0, 5000)
    assert len(found.zeros) == 2 and found.rising == (False, True)
    for (low, high), zero in zip(found.zeros, (1, 2), strict=True):
        assert low < zero < high
    assert found.undecided and all(
        low <= 4 + 1e-3 and high >= 4 - 1e-3 for low, high in found.undecided
    )
    assert zero_near(condition, 1.1).contains(1)  # pyright: ignore
    assert isinstance(zero_near(condition, 4.1), Refusal)
    assert isinstance(zero_near(lambda v: (v * v + 1, 2 * v, arb(2)), 1.0), Refusal)
    nan = arb("nan")
    assert isinstance(zero_near(lambda v: (nan, nan, nan), 1.0), Refusal)
    lost = isolate(lambda v: (nan, nan, nan), 1.0, 2.0, 50)
    assert lost.zeros == () and lost.undecided[0][0] == 1.0 and lost.undecided[-1][1] == 2.0
    assert hull(1.0, 2.0).contains(arb(1).union(arb(2)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, MINUS, "1", None, np.ones(3)])
def test_unusable_numbers(bad: object):
    parameters = GatedParameters(gain=1.9, output_gain=10.0)
    calls = [
        lambda: prove_fixed_point(parameters, bad),  # pyright: ignore
        lambda: prove_fixed_point(parameters, 0.1, bad),  # pyright: ignore
        lambda: prove_all_fixed_points(parameters, bad),  # pyright: ignore
        lambda: prove_birth(parameters, bad),  # pyright: ignore
        lambda: prove_marginal_boundary(parameters, 0.1, open_fraction=bad),  # pyright: ignore
        lambda: prove_phase_boundary(10.0 if bad is MINUS else bad, output_bias=math.nan),  # pyright: ignore
        lambda: enclose_output_gain_thresholds(math.nan if bad is MINUS else bad),  # pyright: ignore
    ]
    for call in calls:
        with pytest.raises(InputProblem) as problem:
            call()
        assert "\n" not in str(problem.value)


def test_unusable_records():
    mine = Nonlinearity("tanh_logistic", *[jnp.sin] * 5)
    with pytest.raises(InputProblem, match="no enclosures"):
        prove_all_fixed_points(GatedParameters(nonlinearity=mine))
    with pytest.raises(InputProblem, match="no enclosures"):
        prove_phase_boundary(10.0, nonlinearity=mine)
    with pytest.raises(InputProblem, match="nonlinearity is a str"):
        enclose_output_gain_thresholds(nonlinearity="tanh_logistic")  # pyright: ignore
    with pytest.raises(InputProblem, match="lets less"):
        prove_phase_boundary(10.0, output_bias=-100.0)
    with pytest.raises(InputProblem, match="max_pieces"):
        prove_phase_boundary(10.0, max_pieces=0)

    def inside(gain: jax.Array) -> jax.Array:
        prove_all_fixed_points(GatedParameters(output_gain=gain))
        return gain

    with pytest.raises(InputProblem):
        jax.jit(inside)(jnp.asarray(2.0))


def test_float32_parameters_are_exact_numbers():
    gain, output_gain = jnp.asarray(1.9, jnp.float32), jnp.asarray(10.1, jnp.float32)
    single = GatedParameters(gain=gain, output_gain=output_gain)
    double = GatedParameters(gain=float(gain), output_gain=float(output_gain))
    assert prove_all_fixed_points(single).roots == prove_all_fixed_points(double).roots
