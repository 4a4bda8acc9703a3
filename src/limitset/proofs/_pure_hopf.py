"""All Hopf points of `x' = tanh((W + a I) x + b)` over all real `a`, by one diagonalisation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from limitset.proofs._ball import Ball, as_ball, ball_sum
from limitset.proofs._complex import ComplexBall, complex_sum, modulus_upper
from limitset.proofs._linalg import NotVerified
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic
from limitset.proofs._spectrum import (
    Diagonalisation,
    UnitDiscs,
    column_sums,
    deviations,
    diagonalise,
    finite,
    finite_upper,
    refined_radii,
    spectrum_refusal,
    unit_discs,
)

Indices = Int[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class PureHopfPoints:
    """Proved Hopf points, in the order of their parameters.

    The proof covers existence, a simple pair on the imaginary axis, no other eigenvalue there,
    crossing at speed `d Re lambda / d a = 1` and a nonzero first Lyapunov coefficient.

    **Arguments:** `parameter`, `frequency` and `coefficient` are balls of `k` entries (the
    coefficient for eigenvectors with `|q|_2 = 1`, `<p, q> = 1`); `unstable` counts the eigenvalues
    with positive real part; `gap` bounds from below the distance of the others from the axis.
    """

    parameter: Ball
    frequency: Ball
    coefficient: Ball
    unstable: Int[np.ndarray, " k"]
    gap: Float[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.unstable)

    @property
    def supercritical(self) -> Bool[np.ndarray, " k"]:
        """Where the coefficient is negative: cycles exist for `a` slightly above, else below."""
        return self.coefficient.upper() < 0

    @property
    def unstable_multipliers(self) -> Int[np.ndarray, " k"]:
        """Floquet multipliers of the small cycles outside the unit circle."""
        return self.unstable + ~self.supercritical

    @property
    def stable(self) -> Bool[np.ndarray, " k"]:
        """Where the small cycles attract: a negative coefficient alone is not enough."""
        return self.unstable_multipliers == 0

    def describe(self, k: int) -> str:
        """One sentence on the small cycles at the `k`-th point."""
        side = "above" if self.supercritical[k] else "below"
        count = int(self.unstable_multipliers[k])
        plural = "" if count == 1 else "s"
        kind = f"they have {count} unstable multiplier{plural}" if count else "they are stable"
        return (
            f"Hopf point at a = {self.parameter.mid[k]:.12g}, omega = {self.frequency.mid[k]:.12g}:"
            f" small cycles exist for a slightly {side} it; {kind}."
        )


@dataclass(frozen=True)
class UndecidedHopf:
    """A pair of eigenvalues, or a cluster on the real axis, that may give a Hopf point."""

    near_parameter: float
    near_frequency: float
    refusal: Refusal


@dataclass(frozen=True, eq=False)
class AllPureHopf:
    """Everything that happens to the equilibrium of the pure class as `a` runs over the reals.

    **Arguments:** `proved` Hopf points; `undecided` the pairs not decided; `steady` the parameters
    of proved real crossings, where `W + a I` is singular: degenerate steady bifurcations with a
    line of equilibria or none, never pitchforks; `pairs` the proved number of nonreal conjugate
    pairs of eigenvalues of `W`, with multiplicity, or None.
    """

    proved: PureHopfPoints
    undecided: tuple[UndecidedHopf, ...]
    steady: Ball
    pairs: int | None

    @property
    def complete(self) -> bool:
        """Whether the proved points are certainly all Hopf points there are."""
        return self.pairs == len(self.proved)


@dataclass(frozen=True, eq=False)
class _Verdicts:
    """Columns of the chosen units, with what is certain of each."""

    units: Indices
    coefficient: Ball
    closed: Bool[np.ndarray, " k"]


def prove_all_hopf(weights: Ball | Shaped[np.ndarray, "..."]) -> AllPureHopf | Refusal:
    """Every Hopf point of `x' = tanh((W + a I) x + b)` over all real `a`, for any bias `b`.

    Let `mu + i w`, `w > 0`, be a simple eigenvalue of `W`, and no other one but its conjugate have
    real part `mu`. At `a = -mu` the equilibrium `-(W + a I)^-1 b` is unique, its pre-activation
    vanishes, the Jacobian is `W + a I`, the crossing speed is 1, and
    `l1 = w^2 Im sum_i conj(p_i) q_i |q_i|^2` with `|q|_2 = 1`, `<p, q> = conj(p)^T q = 1`.

    **Arguments:** `weights` the matrix `W`: exact floats, or a ball. For a ball the statement is
    about every member, and the enclosures hold the values of all of them.

    **Returns:** the points, the undecided pairs each with a reason, and whether the list is
    complete; a refusal where the eigenvectors of `W` are too ill-conditioned.

    **Raises:** `InputProblem` for NaN, infinity, a wrong shape or a ball that is not guaranteed.

    >>> result = prove_all_hopf(np.array([[0.3, -1.0], [2.0, -0.3]]))
    >>> result.complete, bool(abs(result.proved.coefficient.mid[0] - 0.0691013748) < 1e-9)
    (True, True)
    >>> result.proved.describe(0).split(": ")[1]
    'small cycles exist for a slightly below it; they have 1 unstable multiplier.'

    **Source:** arXiv 2202.05073 (the class); Y. Kuznetsov, Elements of Applied Bifurcation Theory.
    """
    require_sound_arithmetic()
    W = as_ball(weights)
    try:
        diagonal = diagonalise(W)
        discs = unit_discs(diagonal)
        radii = refined_radii(diagonal, discs)
        candidates = np.flatnonzero(discs.isolated[diagonal.real :]) + diagonal.real
        verdicts = _lyapunov_coefficients(diagonal, discs, radii, candidates)
    except NotVerified as failure:
        return spectrum_refusal(failure)
    return _assemble(diagonal, discs, radii, verdicts)


def _lyapunov_coefficients(
    diagonal: Diagonalisation,
    discs: UnitDiscs,
    radii: Float[np.ndarray, " m"],
    units: Indices,
) -> _Verdicts:
    """The coefficients at isolated nonreal units.

    With `q = V (e_k + y)` and `p^H = (e_k + z)^T V^-1`, `<p, q> = 1 + nu`, `|nu| <= sum |z_j y_j|`,
    and `l1 = w^2 Im(S / (1 + nu)) / |q|^2` where `S = sum_i conj(p_i) q_i |q_i|^2`.
    """
    G = diagonal.coupling
    near, total = discs.nearest[:, units], discs.total[:, units]
    y, closed_right = deviations(G[:, units], discs.radii, near, total)
    z, closed_left = deviations(G[units].T, column_sums(diagonal), near, total)
    q, p_conj = _right_vectors(diagonal, units, y), _left_vectors(diagonal, units, z)
    # The sums over pairs have nonnegative terms: their product exceeds the sum of products.
    nu = finite_upper(ball_sum(Ball.exact(y) * z, axis=0))
    room = (1.0 - Ball.exact(nu)).lower()
    weight = q.squared_modulus()
    norm = ball_sum(weight, axis=0)
    closed = closed_right & closed_left & (room > 0) & norm.certainly_positive()
    S = complex_sum(p_conj * q * weight, axis=0)
    drift = Ball.exact(finite(S.magnitude())) * nu / np.where(closed, room, 1.0)
    frequency = Ball(diagonal.w[units], radii[units])
    spread = Ball(np.zeros(len(units)), finite_upper(drift))
    safe_norm = Ball(np.where(closed, norm.mid, 1.0), np.where(closed, norm.rad, 0.0))
    return _Verdicts(units, frequency * frequency * (S.im + spread) / safe_norm, closed)


def _right_vectors(
    diagonal: Diagonalisation, units: Indices, y: Float[np.ndarray, "m k"]
) -> ComplexBall:
    """Columns `V (e_k + y)`."""
    real, pairs = diagonal.real, len(diagonal.mu) - diagonal.real
    a, b = diagonal.basis[:, real : real + pairs], diagonal.basis[:, real + pairs :]
    real_columns = np.abs(diagonal.basis[:, :real])
    moduli = finite(np.hstack([real_columns, modulus_upper(np.abs(a), np.abs(b))]))
    radius = finite_upper(Ball.exact(moduli) @ y)
    chosen = units - real
    return ComplexBall(Ball(a[:, chosen], radius), Ball(b[:, chosen], radius))


def _left_vectors(
    diagonal: Diagonalisation, units: Indices, z: Float[np.ndarray, "m k"]
) -> ComplexBall:
    """Columns of `((e_k + z)^T V^-1)^T`, that is of `conj(p)`.

    Row `k` of the complex inverse is half of `a - i b` with the rows `a`, `b` of the real one.
    """
    real, pairs = diagonal.real, len(diagonal.mu) - diagonal.real
    inverse = diagonal.inverse
    a, b = inverse[real : real + pairs] * 0.5, inverse[real + pairs :] * 0.5
    pair_rows = modulus_upper(a.magnitude(), b.magnitude())
    moduli = finite(np.vstack([inverse[:real].magnitude(), pair_rows]))
    radius = finite_upper(Ball.exact(moduli).T @ z)
    spread = Ball(np.zeros_like(radius), radius)
    chosen = units - real
    return ComplexBall(a[chosen].T + spread, spread - b[chosen].T)


def _assemble(
    diagonal: Diagonalisation,
    discs: UnitDiscs,
    radii: Float[np.ndarray, " m"],
    verdicts: _Verdicts,
) -> AllPureHopf:
    """Each nonreal unit is proved or undecided, each isolated real one is a steady crossing."""
    mu, multiplicity = diagonal.mu, diagonal.multiplicity
    gap, unstable = _gaps(mu, radii, multiplicity, verdicts.units)
    signed = (verdicts.coefficient.upper() < 0) | (verdicts.coefficient.lower() > 0)
    frequency = Ball(diagonal.w[verdicts.units], radii[verdicts.units])
    proved = verdicts.closed & (gap > 0) & signed & frequency.certainly_positive()
    order = np.flatnonzero(proved)
    order = order[np.argsort(-mu[verdicts.units[order]], kind="stable")]
    units = verdicts.units[order]
    points = PureHopfPoints(
        Ball(0.0 - mu[units], radii[units]),
        frequency[order],
        verdicts.coefficient[order],
        unstable[order],
        gap[order],
    )
    crossings = np.flatnonzero(discs.isolated & (multiplicity == 1))
    return AllPureHopf(
        points,
        _undecided(diagonal, discs, verdicts, gap, proved),
        Ball(0.0 - mu[crossings], radii[crossings]),
        _nonreal_pairs(diagonal, discs),
    )


def _gaps(
    mu: Float[np.ndarray, " m"],
    radii: Float[np.ndarray, " m"],
    multiplicity: Int[np.ndarray, " m"],
    units: Indices,
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Distance of all other real parts from that of each unit, and how many lie right of it.

    The count is proved where the distance is positive: no disc then meets the vertical strip.
    """
    distance = abs(Ball.exact(mu)[:, None] - mu[units][None, :])
    reach = Ball.exact(radii)[:, None] + radii[units][None, :]
    gap = np.array((distance - reach).lower())
    gap[units, np.arange(len(units))] = np.inf
    right = np.where(mu[:, None] > mu[units][None, :], multiplicity[:, None], 0)
    return gap.min(axis=0, initial=np.inf), right.sum(axis=0)


def _nonreal_pairs(diagonal: Diagonalisation, discs: UnitDiscs) -> int | None:
    """Number of conjugate pairs, where every disc is isolated or certainly off the real axis."""
    off_axis = diagonal.w > discs.radii
    if not (discs.isolated | off_axis).all():
        return None
    return len(diagonal.mu) - diagonal.real


def _undecided(
    diagonal: Diagonalisation,
    discs: UnitDiscs,
    verdicts: _Verdicts,
    gap: Float[np.ndarray, " k"],
    proved: Bool[np.ndarray, " k"],
) -> tuple[UndecidedHopf, ...]:
    """One entry for each disc that is not isolated and each isolated pair that is not proved."""
    found = []
    for unit in np.flatnonzero(~discs.isolated):
        radius = float(discs.radii[unit])
        near_axis = not diagonal.w[unit] > radius
        reason = Reason.OMEGA_CONTAINS_ZERO if near_axis else Reason.SPECTRUM_NOT_SEPARATED
        message = "The disc of the eigenvalue meets another disc."
        refusal = Refusal(reason, message, {"radius": radius})
        found.append(_entry(diagonal, int(unit), refusal))
    for k in np.flatnonzero(~proved):
        margin = float(gap[k])
        l1 = verdicts.coefficient[k]
        if not margin > 0:
            message = "Another eigenvalue may have the same real part."
            refusal = Refusal(Reason.SPECTRUM_NOT_SEPARATED, message, {"gap": margin})
        elif not verdicts.closed[k]:
            message = "The eigenvectors are not verified."
            refusal = Refusal(Reason.SPECTRUM_NOT_SEPARATED, message, {"gap": margin})
        else:
            bounds = {"lower": float(l1.lower()), "upper": float(l1.upper())}
            message = "The enclosure of the first Lyapunov coefficient holds 0."
            refusal = Refusal(Reason.LYAPUNOV_SIGN_UNDECIDED, message, bounds)
        found.append(_entry(diagonal, int(verdicts.units[k]), refusal))
    return tuple(found)


def _entry(diagonal: Diagonalisation, unit: int, refusal: Refusal) -> UndecidedHopf:
    return UndecidedHopf(-float(diagonal.mu[unit]), float(diagonal.w[unit]), refusal)
