"""Fixed points of the mean-field equations, proved: one, or all of them."""

from dataclasses import dataclass

from flint import arb

from limitset._result import Evidence, InputProblem
from limitset.networks import GatedParameters
from limitset.proofs._equilibrium import Stability
from limitset.proofs._meanfield_conditions import (
    Ensemble,
    Interval,
    fixed_point_condition,
    hull,
    inside,
    interval,
    read_ensemble,
    read_gain,
    read_number,
)
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._scalar_zeros import (
    isolate,
    sharpened,
    sign_of,
    unique_around,
    zero_in,
    zero_near,
)
from limitset.proofs._selftest import require_sound_arithmetic

# What averages are aimed at, in bits: where signs are looked for, and where numbers are returned.
SEARCH_BITS = 24
BITS = 60
_SHRINKINGS = 60
_PIECES = 5_000


@dataclass(frozen=True)
class MomentEnclosures:
    """`E phi^2`, `E phi'^2`, `E sigma_r^2` and `E sigma_r'^2` at a variance of `h`, as intervals.

    Gains are included; `sigma_r` is averaged at the variance `E phi^2` of its input.
    """

    gate_variance: Interval
    slope: Interval
    output: Interval
    output_slope: Interval
    evidence: Evidence = Evidence.VERIFIED


@dataclass(frozen=True)
class StabilityNumber:
    """`K` for all variances of `h` in an interval: the point is stable for `K < 1`."""

    state_variance: Interval
    number: Interval
    evidence: Evidence = Evidence.VERIFIED

    @property
    def stability(self) -> Stability:
        """On which side of 1 the whole interval is; `UNDECIDED` where it meets 1."""
        return _side_of_one(self.number)


@dataclass(frozen=True)
class MeanFieldRoot:
    """One fixed point of the mean-field equations, proved; a statement about n -> infinity.

    Exactly one variance of `h` in `state_variance` solves them, and no other in `unique_within`.
    For it, `gate_variance` holds the variance of `z` and `r`, `stability_number` holds `K`, and
    `slope` the derivative of `F`, which has the solution `F(D) = D`. All are closed intervals. It
    says nothing certain about any one network of finite size.
    """

    state_variance: Interval
    gate_variance: Interval
    stability_number: Interval
    slope: Interval
    unique_within: Interval
    evidence: Evidence = Evidence.VERIFIED

    @property
    def stability(self) -> Stability:
        """Whether `K < 1` is proved, or `K > 1`, or neither."""
        return _side_of_one(self.stability_number)


@dataclass(frozen=True)
class AllMeanFieldRoots:
    """What a search for all fixed points has proved, the smallest variance first.

    If `complete`, there are no others, of any variance. Otherwise `refusal` says why, and all
    others have variances in the intervals `undecided`. `pieces` counts the intervals looked at.
    """

    roots: tuple[MeanFieldRoot, ...]
    undecided: tuple[Interval, ...]
    refusal: Refusal | None
    pieces: int
    evidence: Evidence = Evidence.VERIFIED

    @property
    def complete(self) -> bool:
        """Whether there are certainly no other fixed points."""
        return self.refusal is None


def _side_of_one(number: Interval) -> Stability:
    if number[1] < 1:
        return Stability.STABLE
    return Stability.UNSTABLE if number[0] > 1 else Stability.UNDECIDED


def enclose_moments(
    parameters: GatedParameters, state_variance: float | Interval
) -> MomentEnclosures:
    """Averages over the normal law of a gated network's state, enclosed.

    `E phi(sqrt(D) x)^2` and the like, by the trapezoid rule in Arb with all errors bounded.

    **Arguments:** `parameters`; `state_variance` of `h`, a number or an interval.

    **Returns:** `MomentEnclosures`, which hold the averages for every variance of the interval.

    **Raises:** `InputProblem` for numbers that are negative, not finite, enormous or traced, for
    other nonlinearities than those of `limitset.networks`, and for a gate that is shut.

    >>> low, high = enclose_moments(GatedParameters(gain=3.0), 0.1).gate_variance
    >>> round(low, 12), high - low < 1e-15
    (0.375208832185, True)
    """
    ensemble, gain = _read(parameters, 0.0)
    variances = _read_variance(state_variance)
    with ensemble.averages.session():
        gain2 = arb(gain) * arb(gain)
        v = hull(*variances) * gain2
        q, output, output_slope = ensemble.moments(v)
        slope = ensemble.averages.slope_square(arb(ensemble.state_bias), v)[0]
        alpha = arb(ensemble.output_gain)
        return MomentEnclosures(
            _nonnegative(q),
            _nonnegative(gain2 * slope),
            _nonnegative(output),
            _nonnegative(alpha * alpha * output_slope),
        )


def enclose_stability_number(
    parameters: GatedParameters, state_variance: float | Interval
) -> StabilityNumber:
    """`K = E phi'^2 (E sigma_r^2 + E phi^2 E sigma_r'^2)` at a variance of `h`, enclosed.

    **Arguments:** `parameters`; `state_variance` of `h`, a number or an interval such as that of a
    `MeanFieldRoot`. Only at a root does `K` decide about stability.

    **Returns:** `StabilityNumber`, for n -> infinity.

    **Raises:** `InputProblem` as `enclose_moments` does.

    >>> parameters = GatedParameters(gain=3.0, output_gain=10.0)
    >>> enclose_stability_number(parameters, (0.237655, 0.237656)).stability
    <Stability.UNSTABLE: 'unstable'>

    **Reference:** arXiv 2007.14823.
    """
    ensemble, gain = _read(parameters, 0.0)
    variances = _read_variance(state_variance)
    with ensemble.averages.session():
        gain2 = arb(gain) * arb(gain)
        number = gain2 * ensemble.stability(hull(*variances) * gain2)[0]
        return StabilityNumber(variances, _nonnegative(number))


def prove_fixed_point(
    parameters: GatedParameters, near_variance: float, input_variance: float = 0.0
) -> MeanFieldRoot | Refusal:
    """Prove a fixed point of the mean-field equations near a candidate.

    `D = F(D) = E phi(sqrt(D) x)^2 E sigma_r(sqrt(q) y)^2 + input_variance` with
    `q = E phi(sqrt(D) x)^2`. Newton's method, then the interval Newton test with the slope
    enclosed. A statement about n -> infinity, never about one finite network.

    **Arguments:** `parameters`; `near_variance`, the candidate, which is not trusted: the solution
    is looked for within a factor of 2 of it, and 0 means the zero state; `input_variance`, of a
    constant input to `h`.

    **Returns:** the root, or a refusal with its reason.

    **Raises:** `InputProblem` as `enclose_moments` does.

    >>> root = prove_fixed_point(GatedParameters(gain=1.9, output_gain=10.0), 0.08)
    >>> low, high = root.state_variance
    >>> low <= 0.07945757100670259 <= high, high - low < 1e-16, root.stability.value
    (True, True, 'unstable')

    **Reference:** arXiv 2007.14823; R. E. Moore, R. B. Kearfott, M. J. Cloud, Introduction to
    Interval Analysis, SIAM, 2009.
    """
    ensemble, gain = _read(parameters, input_variance)
    near = read_number("near_variance", near_variance)
    with ensemble.averages.session():
        if near == 0:
            return _zero_state(ensemble, gain)
        condition = fixed_point_condition(ensemble, gain)
        start = float(arb(gain) * arb(gain) * arb(near))
        zero = zero_near(condition, start)
        if isinstance(zero, Refusal):
            return zero
        return _root(ensemble, gain, zero, unique_around(condition, zero))


def prove_all_fixed_points(
    parameters: GatedParameters, input_variance: float = 0.0, *, max_pieces: int = _PIECES
) -> AllMeanFieldRoots:
    """Prove all fixed points of the mean-field equations, and that there are no others.

    They have `D < 1 + input_variance`. In `v = gain^2 D` that range is bisected until on each piece
    `F(D) - D` or its slope has one sign. Down to 0, where the zero state is a root, `F(D) / D` is
    enclosed with its slope by power series: if it is monotone, the signs at both ends of the piece
    count the roots next to zero. A statement about n -> infinity.

    **Arguments:** `parameters`; `input_variance`, of a constant input to `h`; `max_pieces`, where
    to give up.

    **Returns:** the roots, the zero state among them where it is one, and whether they are all.

    **Raises:** `InputProblem` as `enclose_moments` does.

    >>> found = prove_all_fixed_points(GatedParameters(gain=1.9, output_gain=10.0))
    >>> found.complete, [root.stability.value for root in found.roots]
    (True, ['stable', 'unstable', 'unstable'])
    >>> len(prove_all_fixed_points(GatedParameters(gain=1.75, output_gain=10.0)).roots)
    1

    **Reference:** arXiv 2007.14823; R. E. Moore, R. B. Kearfott, M. J. Cloud, Introduction to
    Interval Analysis, SIAM, 2009.
    """
    ensemble, gain = _read(parameters, input_variance)
    if not max_pieces >= 1:
        raise InputProblem(f"max_pieces is {max_pieces}; give a positive number")
    coarse = ensemble.with_bits(SEARCH_BITS)
    with coarse.averages.session():
        condition = fixed_point_condition(coarse, gain)
        gain2 = arb(gain) * arb(gain)
        # Both averages are below 1; the percent makes the sign at this end certain.
        most = interval(gain2 * (1 + arb(ensemble.input_variance)) * 101 / 100)[1]
        nearest = _near_zero(coarse, gain) if ensemble.is_odd else _below_all(coarse, gain, most)
        found = isolate(condition, nearest.end, most, max_pieces)
    runs = [*zip(nearest.zeros, nearest.rising, strict=True)]
    runs += [*zip(found.zeros, found.rising, strict=True)]
    with ensemble.averages.session():
        fine = fixed_point_condition(ensemble, gain)
        gaps = [*nearest.undecided, *found.undecided]
        answers = [_zero_state(ensemble, gain, nearest)] if ensemble.is_odd else []
        for run, rising in runs:
            answer = _root(ensemble, gain, zero_in(fine, run, rising), run)
            answers.append(answer)
            gaps += [run] if isinstance(answer, Refusal) else []
        undecided = tuple(interval(hull(*gap) / gain2) for gap in sorted(gaps))
    roots = tuple(root for root in answers if isinstance(root, MeanFieldRoot))
    return AllMeanFieldRoots(roots, undecided, _why_incomplete(undecided, len(roots)), found.pieces)


def _why_incomplete(undecided: tuple[Interval, ...], proved: int) -> Refusal | None:
    if not undecided:
        return None
    return Refusal(
        Reason.SEARCH_NOT_FINISHED,
        f"{len(undecided)} intervals of variances stay undecided, the first around "
        f"{undecided[0][1]:.6g}: two roots that are about to meet, or a limit of pieces.",
        {"undecided": float(len(undecided)), "proved": float(proved)},
    )


def _read(parameters: GatedParameters, input_variance: float) -> tuple[Ensemble, float]:
    require_sound_arithmetic()
    return read_ensemble(parameters, input_variance).with_bits(BITS), read_gain(parameters)


def _read_variance(variance: float | Interval) -> Interval:
    ends = variance if isinstance(variance, tuple) else (variance, variance)
    if len(ends) != 2:
        raise InputProblem(f"state_variance has {len(ends)} numbers; give one, or two ends")
    low, high = (read_number("state_variance", end) for end in ends)
    if not low <= high:
        raise InputProblem(f"state_variance is ({low:g}, {high:g}); give the lower end first")
    return low, high


def _nonnegative(number: arb) -> Interval:
    low, high = interval(number)
    return max(low, 0.0), high


def _root(
    ensemble: Ensemble, gain: float, v: arb | Refusal, alone: Interval
) -> MeanFieldRoot | Refusal:
    """The record of the only root between the ends of `alone`, and in `v`."""
    if isinstance(v, Refusal):
        return v
    gain2 = arb(gain) * arb(gain)
    variance, unique = _nonnegative(v / gain2), inside(*(arb(end) / gain2 for end in alone))
    if not unique[0] <= variance[0] <= variance[1] <= unique[1]:
        return Refusal(
            Reason.KRAWCZYK_NOT_CONTAINED,
            "The interval of the root, rounded to floats, is not in that of uniqueness.",
            {"low": variance[0], "high": variance[1]},
        )
    return MeanFieldRoot(
        variance,
        _nonnegative(ensemble.gate_variance(v)[0]),
        _nonnegative(gain2 * ensemble.stability(v)[0]),
        interval(gain2 * ensemble.product(v)[1]),
        unique,
    )


# --- Next to zero -----------------------------------------------------------------------------


@dataclass(frozen=True)
class NearZero:
    """Solutions with `0 < v <= end`, as for `isolate`; `alone` is where 0 has no neighbour yet."""

    end: float
    alone: float
    zeros: tuple[Interval, ...] = ()
    rising: tuple[bool, ...] = ()
    undecided: tuple[Interval, ...] = ()


def monotone_ratio(ensemble: Ensemble) -> tuple[float, int]:
    """A piece `[0, end]` on which `P(v) / v` is monotone, and the sign of its slope, 0 for none."""
    end = 2.0**-10 / (1 + ensemble.output_gain**2)
    for _ in range(_SHRINKINGS):
        sign = sign_of(ensemble.ratio(hull(0.0, end))[1])
        if sign:
            return end, sign
        end /= 4
    return end, 0


def _near_zero(ensemble: Ensemble, gain: float) -> NearZero:
    """Fixed points next to the zero state: `P(v) / v = 1 / gain^2`."""
    end, slope = monotone_ratio(ensemble)
    excess = arb(gain) * arb(gain) * ensemble.ratio(arb(0))[0] - 1
    # At exactly 0, the ratio leaves the value that it has there in the direction of its slope.
    start = slope if excess.is_zero() else sign_of(excess)
    at_end = sign_of(sharpened(fixed_point_condition(ensemble, gain), arb(end))[0])
    if not (start and slope and at_end):
        return NearZero(end, 0.0, undecided=((0.0, end),))
    if start == at_end:
        return NearZero(end, end)
    # Bisection needs a positive end: below, the ratio is still on the side where it starts.
    low = end
    while sign_of(fixed_point_condition(ensemble, gain)(arb(low))[0]) != start:
        low /= 16
        if not low > 1e-250:
            return NearZero(end, 0.0, undecided=((0.0, end),))
    return NearZero(end, low, zeros=((low, end),), rising=(at_end > 0,))


def _below_all(ensemble: Ensemble, gain: float, most: float) -> NearZero:
    """With a bias or an input `F(0) > 0`: an end below which there is no solution."""
    inverse = 1 / (arb(gain) * arb(gain))
    end = float(ensemble.total(arb(0)) / inverse / 2)
    for _ in range(_SHRINKINGS):
        if not 0 < end < most:
            break
        if ensemble.total(hull(0.0, end)) - end * inverse > 0:
            return NearZero(end, end)
        end /= 4
    end = 1e-250
    return NearZero(end, 0.0, undecided=((0.0, end),))


def _zero_state(
    ensemble: Ensemble, gain: float, nearest: NearZero | None = None
) -> MeanFieldRoot | Refusal:
    if not ensemble.is_odd:
        return Refusal(
            Reason.NOT_SYMMETRIC, "Zero is no fixed point where there is a bias or an input."
        )
    around = _near_zero(ensemble, gain) if nearest is None else nearest
    return _root(ensemble, gain, arb(0), (0.0, around.alone))
