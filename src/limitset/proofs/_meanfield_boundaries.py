"""Phase boundaries of the mean-field theory, proved: births, marginal gains, thresholds."""

from dataclasses import dataclass

from flint import arb, ctx

from limitset._result import Evidence, InputProblem
from limitset.networks import NONLINEARITIES, TANH_LOGISTIC, GatedParameters, Nonlinearity
from limitset.proofs._meanfield import BITS, SEARCH_BITS, monotone_ratio
from limitset.proofs._meanfield_conditions import (
    Condition,
    Ensemble,
    Interval,
    gate_at_zero,
    interval,
    marginal_condition,
    read_ensemble,
    read_gain,
    read_number,
    turning_condition,
)
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._scalar_zeros import (
    isolate,
    sign_of,
    unique_around,
    zero_in,
    zero_near,
)
from limitset.proofs._selftest import require_sound_arithmetic

_PIECES = 5_000
_MOST_BITS = 4096


@dataclass(frozen=True)
class MeanFieldBirth:
    """A gain at which two fixed points of the mean-field equations meet, proved; n -> infinity.

    Exactly one such point has its gain in `gain` and its variance of `h` in `state_variance`;
    `gate_variance` and `stability_number` hold the variance of `z` and `r` and `K` there. With
    `roots_above` the two exist for gains just above it, otherwise just below it, and near it on
    the other side none: the fold is quadratic.
    """

    gain: Interval
    state_variance: Interval
    gate_variance: Interval
    stability_number: Interval
    roots_above: bool
    evidence: Evidence = Evidence.VERIFIED


@dataclass(frozen=True)
class MarginalBoundary:
    """A gain at which `K open_fraction = 1` on a branch of fixed points, proved; n -> infinity.

    Exactly one such point has its gain in `gain` and its variance of `h` in `state_variance`.
    `rises`: whether `K` increases with the gain along the branch, at a speed that is not 0.
    """

    gain: Interval
    state_variance: Interval
    gate_variance: Interval
    open_fraction: float
    rises: bool
    evidence: Evidence = Evidence.VERIFIED


@dataclass(frozen=True)
class ThresholdEnclosures:
    """Output gains above which something happens at small amplitudes, enclosed; n -> infinity.

    `critical_gain`: where the zero state loses stability. The thresholds are None where there is
    certainly none, because the gate is too far open.

    - `fixed_points`: above, the branch of fixed points leaves zero towards gains at which the zero
      state is stable. Others may exist there below this threshold, away from zero: see
      `prove_phase_boundary`.
    - `chaos`: above, the branch of chaotic states does, for slaved gates.
    - `input_instability`: above, a weak constant input raises the stability number.
    """

    critical_gain: Interval
    fixed_points: Interval | None
    chaos: Interval | None
    input_instability: Interval | None
    evidence: Evidence = Evidence.VERIFIED


@dataclass(frozen=True)
class PhaseBoundary:
    """At which gains there are fixed points beside zero, for one output gate; n -> infinity.

    - `critical_gain`: the zero state is stable below it, unstable above.
    - `birth_gain`: fixed points other than zero exist above it, and none below.
    - `turning_points`: all folds of the curve of fixed points, from small variances to large ones.
    """

    output_gain: float
    output_bias: float
    critical_gain: Interval
    birth_gain: Interval
    turning_points: tuple[MeanFieldBirth, ...]
    evidence: Evidence = Evidence.VERIFIED

    @property
    def has_wedge(self) -> bool:
        """Whether fixed points appear while the zero state is stable."""
        return self.birth_gain[1] < self.critical_gain[0]

    @property
    def statement(self) -> str:
        """What is proved, in one sentence."""
        critical, birth = self.critical_gain, self.birth_gain
        if not self.has_wedge:
            return (
                f"As n -> infinity the zero state is the only fixed point up to gain "
                f"{critical[0]!r} and loses stability there; others exist above {critical[1]!r}."
            )
        two = "exactly two others" if len(self.turning_points) == 1 else "others"
        return (
            f"As n -> infinity the zero state is the only fixed point below gain {birth[0]!r}; "
            f"from {birth[1]!r} to {critical[0]!r} it is stable beside {two}."
        )


def prove_birth(
    parameters: GatedParameters, near_variance: float, input_variance: float = 0.0
) -> MeanFieldBirth | Refusal:
    """Prove a gain at which two fixed points of the mean-field equations are born or die.

    The gain of the ensemble with a fixed point at `v = gain^2 D` is `gain^2 = v / Y(v)`, with
    `Y(v) = E phi^2 E sigma_r^2 + input_variance`. It turns round where `v Y' = Y`, quadratically as
    `Y'' != 0`: one equation, to which the interval Newton test applies.

    **Arguments:** `parameters`, whose `gain`, with `near_variance` of `h`, is the candidate, not
    trusted: the point is looked for where `gain^2 D` is within a factor of 2 of the candidate's;
    `input_variance`, of a constant input to `h`.

    **Returns:** the birth, or a refusal with its reason. It is one fold, not the least gain of all:
    for that see `prove_phase_boundary`.

    **Raises:** `InputProblem` as `enclose_moments` does.

    >>> birth = prove_birth(GatedParameters(gain=1.75, output_gain=10.0), 0.022)
    >>> birth.gain[0] <= 1.753983206535074 <= birth.gain[1], birth.roots_above
    (True, True)

    **Reference:** arXiv 2007.14823; W. Tucker, Validated Numerics, Princeton, 2011.
    """
    ensemble, start = _read_candidate(parameters, near_variance, input_variance)
    with ensemble.averages.session():
        condition = turning_condition(ensemble)
        v = zero_near(condition, start)
        if isinstance(v, Refusal):
            return v
        return _birth(ensemble, v, unique_around(condition, v))


def prove_marginal_boundary(
    parameters: GatedParameters,
    near_variance: float,
    input_variance: float = 0.0,
    *,
    open_fraction: float = 0.5,
) -> MarginalBoundary | Refusal:
    """Prove the gain at which open update gates alone make a fixed point unstable.

    With update gates that are switches, open for a fraction of the units, the disc of the spectrum
    reaches beyond 0 where `K open_fraction > 1`. In `v = gain^2 D`, with the gain as in
    `prove_birth`, that is one equation.

    **Arguments:** `parameters` and `near_variance`, the candidate as in `prove_birth`;
    `input_variance`; `open_fraction`, 1/2 without an update bias.

    **Returns:** the boundary, or a refusal with its reason.

    **Raises:** `InputProblem` as `enclose_moments` does.

    >>> marginal = prove_marginal_boundary(GatedParameters(gain=2.1, output_gain=10.0), 0.12)
    >>> round(marginal.gain[0], 4), marginal.gain[1] - marginal.gain[0] < 1e-15, marginal.rises
    (2.1206, True, True)

    **Reference:** arXiv 2007.14823.
    """
    ensemble, start = _read_candidate(parameters, near_variance, input_variance)
    fraction = read_number("open_fraction", open_fraction, least=1e-6, most=1.0)
    with ensemble.averages.session():
        condition = marginal_condition(ensemble, 1 / arb(fraction))
        v = zero_near(condition, start)
        if isinstance(v, Refusal):
            return v
        slope, falling = condition(v)[1], turning_condition(ensemble)(v)[0]
        rises = -sign_of(slope) * sign_of(falling)
        if not rises:
            return Refusal(
                Reason.TRANSVERSALITY_UNDECIDED, "The gain may turn round where K open_fraction = 1"
            )
        curve = _on_curve(ensemble, v, unique_around(condition, v))
        if isinstance(curve, Refusal):
            return curve
        return MarginalBoundary(*curve, interval(ensemble.gate_variance(v)[0]), fraction, rises > 0)


def enclose_output_gain_thresholds(
    output_bias: float = 0.0, *, nonlinearity: Nonlinearity = TANH_LOGISTIC
) -> ThresholdEnclosures | Refusal:
    """The exact thresholds of an output gate's gain, from small amplitudes, enclosed.

    With `u(x) = x - c x^3 + ...`, `s` the output gate at 0 and `s'`, `s''` its derivatives they are
    `alpha^2 = 6 c s^2 / (s s'' + k s'^2)`, where `k` is 1 for fixed points, 2/3 for chaos and 2 for
    the instability under inputs. Without a bias that is 8, 12 and 4.

    **Returns:** `ThresholdEnclosures`, or a refusal where a denominator cannot be told from 0.

    **Raises:** `InputProblem` for a bias that is no finite number or shuts the gate, and for other
    nonlinearities than those of `limitset.networks`.

    >>> found = enclose_output_gain_thresholds()
    >>> found.fixed_points[0] <= 8**0.5 <= found.fixed_points[1], found.critical_gain
    (True, (2.0, 2.0))
    >>> enclose_output_gain_thresholds(0.7).fixed_points is None
    True

    **Reference:** arXiv 2007.14823.
    """
    require_sound_arithmetic()
    ensemble = _output_ensemble(0.0, output_bias, nonlinearity)
    bits = 128
    while bits <= _MOST_BITS:
        with ctx.workprec(bits):
            gate = gate_at_zero(ensemble.averages.pair, ensemble.output_bias)
            factors = (arb(1), arb(2) / 3, arb(2))
            below = [gate.value * gate.curvature + k * gate.slope * gate.slope for k in factors]
            if all(sign_of(each) for each in below):
                top = 6 * gate.cubic * gate.value * gate.value
                points, chaos, inputs = (
                    interval((top / b).sqrt()) if b > 0 else None for b in below
                )
                return ThresholdEnclosures(interval(1 / gate.value), points, chaos, inputs)
        bits *= 2
    return Refusal(
        Reason.TRANSVERSALITY_UNDECIDED, "The bias is where a threshold becomes infinite."
    )


def prove_phase_boundary(
    output_gain: float,
    *,
    output_bias: float = 0.0,
    nonlinearity: Nonlinearity = TANH_LOGISTIC,
    max_pieces: int = _PIECES,
) -> PhaseBoundary | Refusal:
    """Prove at which gains a gated network has fixed points beside zero, for one output gate.

    All turning points of `gain^2 = v / P(v)` over `0 < v < infinity`: by power series next to 0, by
    bisection up to an explicit `v`, and none beyond, where `v P'(v) < P(v)` by the bounds

    - `P >= (1 - 0.8 / sqrt(v)) s^2 / 2`, with `s` the output gate at 0
    - `|v P'| <= 0.4 / sqrt(v) * 1.354`

    Everything holds for every update gate and time constant, without biases of `h` and inputs. A
    statement about n -> infinity, never about one finite network.

    **Arguments:** `output_gain`, `output_bias`, `nonlinearity`; `max_pieces`, where to give up.

    **Returns:** `PhaseBoundary`, or a refusal with its reason.

    **Raises:** `InputProblem` for numbers that are not finite or enormous, a gate that is shut, and
    for other nonlinearities than those of `limitset.networks`.

    >>> boundary = prove_phase_boundary(10.0)
    >>> boundary.has_wedge, boundary.critical_gain, round(boundary.birth_gain[0], 12)
    (True, (2.0, 2.0), 1.753983206535)
    >>> prove_phase_boundary(2.0).has_wedge
    False

    **Reference:** arXiv 2007.14823.
    """
    require_sound_arithmetic()
    if not max_pieces >= 1:
        raise InputProblem(f"max_pieces is {max_pieces}; give a positive number")
    ensemble = _output_ensemble(output_gain, output_bias, nonlinearity).with_bits(BITS)
    births = _turning_points(ensemble, max_pieces)
    if isinstance(births, Refusal):
        return births
    with ensemble.averages.session():
        critical = interval(1 / ensemble.zero_gate().value)
    birth = _least(critical, [each.gain for each in births if each.roots_above])
    if isinstance(birth, Refusal):
        return birth
    return PhaseBoundary(ensemble.output_gain, ensemble.output_bias, critical, birth, tuple(births))


def _turning_points(ensemble: Ensemble, max_pieces: int) -> list[MeanFieldBirth] | Refusal:
    coarse = ensemble.with_bits(SEARCH_BITS)
    with coarse.averages.session():
        start, slope = monotone_ratio(coarse)
        if not slope:
            return Refusal(
                Reason.TRANSVERSALITY_UNDECIDED,
                "The output gain cannot be told from the threshold at which a wedge opens.",
            )
        found = isolate(turning_condition(coarse), start, _last_turn(coarse), max_pieces)
    if found.undecided:
        return Refusal(
            Reason.SEARCH_NOT_FINISHED,
            f"{len(found.undecided)} intervals may hold turning points of the gain.",
            {"undecided": float(len(found.undecided)), "pieces": float(found.pieces)},
        )
    births: list[MeanFieldBirth] = []
    with ensemble.averages.session():
        fine: Condition = turning_condition(ensemble)
        for run, rising in zip(found.zeros, found.rising, strict=True):
            birth = _birth(ensemble, zero_in(fine, run, rising), run)
            if isinstance(birth, Refusal):
                return birth
            births.append(birth)
    return births


def _last_turn(ensemble: Ensemble) -> float:
    """A `v` from which on `v P' < P`; see `prove_phase_boundary`.

    `1 - u^2` is positive with an integral of at most 2 over the line (2 for tanh; for the other
    `1 - u^2 <= exp(-pi x^2 / 4)`), so its average is below `2 / sqrt(2 pi v) < 0.8 / sqrt(v)`; that
    against `|x^2 - 1| / 2` is below `1 / sqrt(2 pi v)`, as `|x^2 - 1| exp(-x^2 / 2) <= 1`. The gate
    is above `s` half of the time, and `|w M'| <= E |x^2 - 1| / 4 <= sqrt(2) / 4`. So `sqrt(v)` of
    `0.8 + 1.084 / s^2` or more is enough.
    """
    gate = ensemble.zero_gate().value
    deviation = 1 + arb(6) / (5 * gate * gate)
    return interval(deviation * deviation)[1]


def _least(critical: Interval, births: list[Interval]) -> Interval | Refusal:
    """The least of all gains, if it is certain which one that is."""
    gains = [critical, *births]
    for candidate in gains:
        if all(candidate is other or candidate[1] < other[0] for other in gains):
            return candidate
    return Refusal(
        Reason.TRANSVERSALITY_UNDECIDED, "Two candidates for the least gain cannot be told apart."
    )


def _on_curve(ensemble: Ensemble, v: arb, alone: Interval) -> tuple[Interval, Interval] | Refusal:
    """Gain and variance of `h` at `v`, if all pairs of the two have their `v` in `alone`."""
    total = ensemble.total(v)
    gain, variance = interval((v / total).sqrt()), interval(total)
    ends = [interval(arb(g) * arb(g) * arb(d)) for g, d in zip(gain, variance, strict=True)]
    if alone[0] <= ends[0][0] and ends[1][1] <= alone[1]:
        return gain, variance
    return Refusal(
        Reason.KRAWCZYK_NOT_CONTAINED,
        "The intervals, rounded to floats, are wider than where the point is known to be alone.",
        {"gain_width": gain[1] - gain[0], "variance_width": variance[1] - variance[0]},
    )


def _birth(ensemble: Ensemble, v: arb | Refusal, alone: Interval) -> MeanFieldBirth | Refusal:
    if isinstance(v, Refusal):
        return v
    curve = _on_curve(ensemble, v, alone)
    if isinstance(curve, Refusal):
        return curve
    # Where v Y' = Y the second derivative of v / Y is -v Y'' / Y^2.
    curvature = ensemble.product(v)[2]
    if not sign_of(curvature):
        return Refusal(Reason.TRANSVERSALITY_UNDECIDED, "The fold may be flat: Y'' may be 0.")
    number = v / ensemble.total(v) * ensemble.stability(v)[0]
    return MeanFieldBirth(
        *curve, interval(ensemble.gate_variance(v)[0]), interval(number), bool(curvature < 0)
    )


def _read_candidate(
    parameters: GatedParameters, near_variance: float, input_variance: float
) -> tuple[Ensemble, float]:
    require_sound_arithmetic()
    ensemble = read_ensemble(parameters, input_variance).with_bits(BITS)
    near = read_number("near_variance", near_variance)
    if not near > 0:
        raise InputProblem(f"near_variance is {near:g}; give a positive number")
    return ensemble, read_gain(parameters) ** 2 * near


def _output_ensemble(
    output_gain: float, output_bias: float, nonlinearity: Nonlinearity
) -> Ensemble:
    """An ensemble of which only the output gate is given, its numbers exact."""
    if not isinstance(nonlinearity, Nonlinearity):
        raise InputProblem(
            f"nonlinearity is a {type(nonlinearity).__name__}; give one of "
            f"{', '.join(sorted(NONLINEARITIES))} from limitset.networks"
        )
    gain = read_number("output_gain", output_gain, least=-1e8)
    bias = read_number("output_bias", output_bias, least=-1e8)
    parameters = GatedParameters(output_gain=gain, output_bias=bias, nonlinearity=nonlinearity)
    return read_ensemble(parameters, 0.0)
