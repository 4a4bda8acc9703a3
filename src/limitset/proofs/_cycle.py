"""Periodic orbits of rate networks, proved: existence, period, Floquet multipliers, stability."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy.integrate import solve_ivp

from limitset._result import InputProblem
from limitset.networks import Form, RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._complex import ComplexBall
from limitset.proofs._equilibrium import Stability
from limitset.proofs._rate_field import RateField, rate_field
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._shooting import ClosedOrbit, polish, prove_closed
from limitset.proofs._spectrum import Spectrum, enclose_spectrum
from limitset.proofs._taylor import exponential, flow_defect

Vector = Float[np.ndarray, " n"]

# Segments are made shorter until the Taylor remainder, relative to the states, is below this.
_REMAINDER = 4e-15
_FEWEST, _FINER = 40, 1.3
# The inverse of the shooting matrix is dense.
_MOST_UNKNOWNS = 6000
# No segment is longer than this over the Lipschitz constant.
_LONGEST = 4.0


@dataclass(frozen=True, eq=False)
class Cycle:
    """One periodic orbit, proved.

    Exactly one pair of an orbit and a period lies within the radii, once its start is fixed by
    `phase . (x(0) - states[0]) = 0`: `x(i step)` is within `state_radius` (sup-norm) of
    `states[i]`, and `step`, the period over their number, within `step_radius` of its center, in
    units of the time constant. The orbit is not constant. `is_minimal`: the period is proved to
    be the smallest one. `multipliers` and `multiplier_radii` are discs that hold the Floquet
    multipliers other than the trivial one; `outside` counts those outside the unit circle. Both
    are None where the trivial multiplier 1 is not separated, and `outside` also where a disc meets
    the circle. `STABLE`: orbitally asymptotically stable, `outside` is 0; `UNSTABLE`: it is
    positive. With `weight_radius` above 0, all of this holds for every network that near.
    """

    period: Ball
    states: Float[np.ndarray, "m n"]
    state_radius: float
    step: float
    step_radius: float
    phase: Vector
    is_minimal: bool
    multipliers: Complex[np.ndarray, " others"] | None
    multiplier_radii: Float[np.ndarray, " others"] | None
    outside: int | None
    stability: Stability
    weight_radius: float = 0.0


def prove_cycle(
    network: RateNetwork,
    guess_state: Vector,
    guess_period: float,
    input: Float[np.ndarray, " m"] | None = None,
    *,
    segments: int | None = None,
    radius: float | None = None,
    weight_radius: float = 0.0,
) -> Cycle | Refusal:
    """Prove that a tanh rate network has exactly one periodic orbit near a guess.

    `flow_h(x_i) = x_(i+1)` for `i = 1 .. m`, cyclic, by one Taylor step each, and a phase
    condition. Newton's method improves the guess, the Krawczyk test proves it. The product of the
    derivatives of the segments has the Floquet multipliers as eigenvalues.

    **Arguments:** `network` with tanh; `guess_state` of shape `(n,)`, near the orbit;
    `guess_period` in units of time; `input` constant, zero if omitted; `segments` their number,
    chosen if omitted; `radius` a claim to test: the orbit through the guess as it stands, states
    within `radius` of it and the period within `radius` time constants; `weight_radius` the
    largest distance of every entry of `weight`, `input_weight` and `bias` from the stored one.

    **Returns:** the cycle, or a refusal, which proves nothing.

    **Raises:** `InputProblem` for numbers or shapes that cannot be used.

    >>> import jax.numpy as jnp
    >>> network = RateNetwork(jnp.array([[2.0, -2.0], [2.0, 2.0]]))
    >>> cycle = prove_cycle(network, np.array([2.0, 0.0]), 6.8)
    >>> cycle.stability.value, bool(abs(cycle.period.mid - 6.8376) < 1e-3)
    ('stable', True)

    **Source:** P. Zgliczynski, C1-Lohner algorithm, Found. Comput. Math. 2, 2002, for proofs of
    this kind; R. Krawczyk, Computing 4, 1969.
    """
    require_sound_arithmetic()
    field = rate_field(network, input, weight_radius)
    start, tau = Ball.exact(guess_state).mid, float(network.time_constant)
    _require_usable(field, start, guess_period, segments, radius)
    scaled = float(guess_period) / tau
    candidate = _candidate(field, start, scaled, segments, improve=radius is None)
    if isinstance(candidate, Refusal):
        return candidate
    states, h = candidate
    claimed = None if radius is None else (float(radius), float(radius) / states.shape[1])
    orbit = prove_closed(field, states, h, claimed)
    if isinstance(orbit, Refusal):
        return orbit
    if not orbit.h > orbit.time_radius:
        return Refusal(Reason.KRAWCZYK_NOT_CONTAINED, "The period may be 0 within its radius.")
    return _recorded(orbit, tau, weight_radius)


def _recorded(orbit: ClosedOrbit, tau: float, weight_radius: float) -> Cycle:
    step = Ball(np.array(orbit.h), np.array(orbit.time_radius))
    spectrum = enclose_spectrum(_product(orbit.slopes))
    multipliers = radii = outside = None
    trivial = None if isinstance(spectrum, Refusal) else _trivial(spectrum)
    if trivial is not None and isinstance(spectrum, Spectrum):
        others = np.arange(len(spectrum.radii)) != trivial
        multipliers, radii = spectrum.centres[others], spectrum.radii[others]
        outside = _count_outside(multipliers, radii)
    stability = Stability.UNDECIDED
    if outside is not None:
        stability = Stability.STABLE if outside == 0 else Stability.UNSTABLE
    return Cycle(
        step * orbit.states.shape[1] * tau,
        orbit.states.T.copy(),
        orbit.state_radius,
        orbit.h,
        orbit.time_radius,
        orbit.phase,
        _is_minimal(orbit),
        multipliers,
        radii,
        outside,
        stability,
        float(weight_radius),
    )


def _candidate(
    field: RateField, start: Vector, period: float, segments: int | None, improve: bool
) -> tuple[Float[np.ndarray, "n m"], float] | Refusal:
    """States along the orbit and the time between them, in floats: nothing is claimed of them."""
    point = _midpoint(field)
    fewest = period * (np.abs(point.weight.mid).sum(axis=1).max() + field.leak) / _LONGEST
    m = max(_FEWEST, math.ceil(min(fewest, 1e9))) if segments is None else segments
    while True:
        unknowns = max(m, fewest) * field.size + 1.0
        if not unknowns <= _MOST_UNKNOWNS:
            return Refusal(
                Reason.SEARCH_NOT_FINISHED,
                f"The orbit needs {unknowns:.0f} unknowns or more; {_MOST_UNKNOWNS} are tried.",
                {"unknowns": float(unknowns)},
            )
        states = _integrate(point, start, period, m)
        if states is None:
            return Refusal(Reason.NEWTON_FAILED, "The guess does not integrate in floats.")
        h = period / m
        defect = float(flow_defect(point, states, h).max())
        if segments is not None or defect < _REMAINDER * (1.0 + np.abs(states).max()):
            break
        m = math.ceil(m * _FINER)
    return polish(point, states, h) if improve else (states, h)


def _midpoint(field: RateField) -> RateField:
    """The field of the middle of the weights, for numbers that nothing depends on."""
    weight, bias = Ball.exact(field.weight.mid), Ball.exact(field.bias.mid)
    return dataclasses.replace(field, weight=weight, bias=bias)


def _integrate(
    field: RateField, start: Vector, period: float, m: int
) -> Float[np.ndarray, "n m"] | None:
    W, b, leak = field.weight.mid, field.bias.mid, field.leak

    def velocity(_: float, x: Vector) -> Vector:
        if field.form is Form.HOPFIELD:
            return W @ np.tanh(x) + b - leak * x
        return np.tanh(W @ x + b) - leak * x

    times = np.arange(m) * (period / m)
    with np.errstate(all="ignore"):
        solution = solve_ivp(
            velocity, (0.0, period), start, "DOP853", times, rtol=1e-12, atol=1e-13
        )
    states = np.asarray(solution.y)
    return states if solution.success and np.isfinite(states).all() else None


def _product(slopes: Ball) -> Ball:
    """The derivative over the whole period.

    Neighbours are multiplied first, as in a tournament: errors then meet the absolute values of
    products over long times, which are much smaller than products of absolute values.
    """
    factors = [slopes[:, i, :] for i in range(slopes.shape[1])]
    while len(factors) > 1:
        pairs = [factors[i + 1] @ factors[i] for i in range(0, len(factors) - 1, 2)]
        factors = pairs + factors[2 * len(pairs) :]
    return factors[0]


def _trivial(spectrum: Spectrum) -> int | None:
    """The isolated disc that holds the multiplier 1 of the velocity; None if there is none."""
    distance = ComplexBall.exact(spectrum.centres) - 1.0
    # Every disc that 1 may lie in must be this one.
    near = np.flatnonzero(~(distance.mignitude() > spectrum.radii))
    if len(near) != 1 or not spectrum.isolated[near[0]]:
        return None
    return int(near[0])


def _count_outside(
    centres: Complex[np.ndarray, " k"], radii: Float[np.ndarray, " k"]
) -> int | None:
    """Number of multipliers of modulus above 1; None where a disc meets the circle."""
    modulus = ComplexBall.exact(centres)
    outside = (Ball.exact(modulus.mignitude()) - 1.0).lower() > radii
    inside = (1.0 - Ball.exact(modulus.magnitude())).lower() > radii
    return int(outside.sum()) if (outside | inside).all() else None


def _is_minimal(orbit: ClosedOrbit) -> bool:
    """Whether the period is proved to be the smallest; False proves nothing.

    With `|J| <= L`, `|f(x(t)) - f(x(0))| <= (exp(L t) - 1) |f(x(0))|`, so `x(t) != x(0)` for
    `0 < t <= 0.69 / L`, as 0.69 < log 2. If the smallest period were `T / k` with `k > 1`, then
    `x(T / p) = x(0)` for a prime `p` that divides `k`, with `T / p > 0.69 / L`. The known state
    nearest in time, off by at most `t exp(L t) |f|` with `t <= h`, excludes that.
    """
    m = orbit.states.shape[1]
    h = Ball(np.array(orbit.h), np.array(orbit.time_radius))
    states = Ball(orbit.states.copy(), np.full(orbit.states.shape, orbit.state_radius))
    L = Ball.exact(orbit.lipschitz)
    largest = float((h * m * L / 0.69).upper())
    if not (largest < 1e6 and np.isfinite(orbit.speeds).all()):
        return False
    moved = Ball.exact(orbit.speeds) * (h * exponential(L * h))
    for p in _primes(math.floor(largest)):
        nearest = (m + p // 2) // p
        gap = (states[:, nearest] - states[:, 0]).mignitude().max()
        fraction = Ball.exact(abs(m - p * nearest)) / p
        if not gap > float((moved[nearest] * fraction).upper()):
            return False
    return True


def _primes(largest: int) -> list[int]:
    sieve = np.ones(largest + 1, dtype=bool)
    sieve[:2] = False
    for p in range(2, math.isqrt(largest) + 1):
        if sieve[p]:
            sieve[p * p :: p] = False
    return np.flatnonzero(sieve).tolist()


def _require_usable(
    field: RateField, start: Vector, period: float, segments: int | None, radius: float | None
) -> None:
    if not field.is_tanh:
        raise InputProblem("Cycles are proved for tanh only; this network has another activation.")
    if start.shape != (field.size,):
        raise InputProblem(
            f"The state has shape {start.shape}; this network needs ({field.size},)."
        )
    for name, value in (("guess_period", period), ("radius", radius)):
        if value is not None and not 0 < value < math.inf:
            raise InputProblem(f"{name} is {value}; give a positive number.")
    if segments is not None and segments < 2:
        raise InputProblem(f"segments is {segments}; give 2 or more.")
