"""All eigenvalues of a real matrix: discs with counting, and counts right of a line.

Conventions: eigenvalues are counted with multiplicity over the complex numbers; a disc is closed.
A `unit` is a real disc centre, or one centre of the open upper half plane that stands for its
conjugate too. The true matrix is real, so its spectrum is symmetric and bounds hold for both.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy.sparse.csgraph import connected_components

from limitset._result import InputProblem
from limitset.proofs._ball import Ball, ball_sum, inf_norm_upper
from limitset.proofs._complex import ComplexBall, modulus_upper
from limitset.proofs._linalg import NotVerified
from limitset.proofs._refusal import Reason, Refusal
from limitset.proofs._selftest import require_sound_arithmetic

Square = Float[np.ndarray, "n n"]
UnitSquare = Float[np.ndarray, "m m"]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Discs that hold all eigenvalues of every matrix in a ball.

    Each cluster of `k` discs holds exactly `k` eigenvalues of each member in its union, and
    clusters do not meet. A disc alone in its cluster holds exactly one, simple, eigenvalue; if its
    centre is real, so is the eigenvalue.

    **Arguments:** `centres` complex, real ones first, then conjugate pairs `k, k + pairs`;
    `radii` of the discs; `clusters` a label for each disc; `isolated` where a disc is alone.
    """

    centres: Complex[np.ndarray, " n"]
    radii: Float[np.ndarray, " n"]
    clusters: Int[np.ndarray, " n"]
    isolated: Bool[np.ndarray, " n"]

    def count_right(self, line: float) -> int | None:
        """Number of eigenvalues with real part above `line`; None where a disc meets the line."""
        distance = Ball.exact(np.real(self.centres)) - line
        if not (distance.mignitude() > self.radii).all():
            return None
        return int((distance.mid > 0).sum())

    def count_outside(self, radius: float) -> int | None:
        """Number of eigenvalues of modulus above `radius`; None where a disc meets the circle."""
        centres = ComplexBall.exact(self.centres)
        largest = centres.magnitude()
        if not np.isfinite(largest).all():
            return None
        outside = (Ball.exact(centres.mignitude()) - radius).lower() > self.radii
        inside = (radius - Ball.exact(largest)).lower() > self.radii
        return int(outside.sum()) if (outside | inside).all() else None


@dataclass(frozen=True, eq=False)
class Diagonalisation:
    """`V^-1 A V = D + E` for every member `A` of a ball, with a bound of `|E|` entrywise.

    **Arguments:** `mu + i w` the centres of the `m` units, the `real` ones first; `basis` the real
    matrix of the real eigenvectors, then the real and then the imaginary parts of the others;
    `inverse` encloses its inverse; `coupling[i, j]` bounds the entries of `E` between the units,
    which are the same for an eigenvector and its conjugate.
    """

    mu: Float[np.ndarray, " m"]
    w: Float[np.ndarray, " m"]
    real: int
    basis: Square
    inverse: Ball
    coupling: UnitSquare

    @property
    def multiplicity(self) -> Int[np.ndarray, " m"]:
        """Eigenvalues that a unit stands for: 1 for a real centre, else 2."""
        return np.where(np.arange(len(self.mu)) < self.real, 1, 2)


@dataclass(frozen=True, eq=False)
class UnitDiscs:
    """Gershgorin's discs of the units, and how far the isolated ones are from all others.

    For the disc of unit `k`, the eigenvalue in it keeps at least `1 / nearest[j, k]` from the
    centres of unit `j` other than `k` itself, and `total[j, k]` bounds the sum of the reciprocal
    distances to them. Columns of discs that are not isolated are 0.
    """

    radii: Float[np.ndarray, " m"]
    clusters: Int[np.ndarray, " m"]
    isolated: Bool[np.ndarray, " m"]
    nearest: UnitSquare
    total: UnitSquare


def enclose_spectrum(A: Ball) -> Spectrum | Refusal:
    """Discs around all eigenvalues of all members of `A`, with counting.

    With float eigenvectors `V` and centres `D`, `E = V^-1 (A V - V D)` is bounded entrywise.
    Gershgorin's theorem applies to `D + E`: discs of radius `r_k = sum_j |E_kj|`, and `k` discs
    whose union meets no other disc hold exactly `k` eigenvalues. An isolated disc shrinks to
    `|E_kk| + sum_j |E_kj| |y_j|` with the entries `y` of its eigenvector `e_k + y`.

    **Arguments:** `A` of shape `(n, n)`, exact or an interval matrix.

    **Returns:** the discs, or a refusal where the eigenvectors are too ill-conditioned.

    **Raises:** `InputProblem` for a matrix that is empty or not square.

    >>> spectrum = enclose_spectrum(Ball.exact([[0.0, -2.0], [2.0, 0.0]]))
    >>> spectrum.count_right(0.5), spectrum.count_right(-0.5), spectrum.count_right(0.0)
    (0, 2, None)

    **Source:** S. Gershgorin, 1931; S. M. Rump, Verification methods, Acta Numerica 19, 2010.
    """
    try:
        diagonal = diagonalise(A)
        discs = unit_discs(diagonal)
        radii = refined_radii(diagonal, discs)
    except NotVerified as failure:
        return spectrum_refusal(failure)
    return _all_discs(diagonal, discs, radii)


def spectrum_refusal(failure: NotVerified) -> Refusal:
    """What a failed diagonalisation says."""
    return Refusal(
        Reason.SPECTRUM_NOT_SEPARATED,
        f"The eigenvectors are not verified: {failure}",
        {"defect": failure.number},
    )


def diagonalise(A: Ball) -> Diagonalisation:
    """Approximate eigenvectors, and what is certain of them.

    With `X ~ V^-1` and `eps >= |I - X V|_inf < 1`, column by column
    `|V^-1 R - X R| <= eps / (1 - eps) max |X R|`; the same with `R = I` encloses the inverse.
    All products are real: a pair `q = a + i b` enters as the columns `a` and `b`.

    **Raises:** `NotVerified` where `eps` is not below 1 or numbers overflow; `InputProblem`.
    """
    require_sound_arithmetic()
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.size == 0:
        raise InputProblem(f"A square matrix is needed, got shape {A.shape}.")
    if not A.guaranteed:
        raise InputProblem("The matrix is not guaranteed; pass numbers that are known exactly.")
    if not np.isfinite(A.rad).all():
        raise NotVerified("An entry of the matrix is unbounded.", np.inf)
    mu, w, real, basis = _eigenvectors(A.mid)
    try:
        with np.errstate(all="ignore"):
            X = np.linalg.inv(basis)
    except np.linalg.LinAlgError as error:
        raise NotVerified("The matrix of eigenvectors is singular in floats.", np.inf) from error
    if not np.isfinite(X).all():
        raise NotVerified("The inverse of the eigenvectors overflows.", np.inf)
    defect = inf_norm_upper(Ball.exact(X) @ basis - np.eye(len(A)))
    if not defect < 1.0:
        raise NotVerified(f"|I - X V| is bounded by {defect:.3g} only; below 1 is needed.", defect)
    eps = Ball.exact(defect)
    growth = eps / (1.0 - eps)
    residual = X @ (A @ basis - _times_centres(basis, mu, w[real:]))
    columns = Ball.exact(finite_upper(residual))
    bound = finite_upper(columns + growth * Ball.exact(columns.mid.max(axis=0)))
    radius = finite_upper(growth * Ball.exact(np.abs(X).max(axis=0)))
    inverse = Ball(X, np.broadcast_to(radius, X.shape).copy(), A.guaranteed)
    return Diagonalisation(mu, w, real, basis, inverse, _unit_coupling(bound, real))


def finite_upper(ball: Ball) -> Float[np.ndarray, "..."]:
    """Bounds of the absolute values, which must be finite.

    **Raises:** `NotVerified` where one is not.
    """
    return finite(ball.magnitude())


def finite(bound: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The bounds themselves, which must be finite; else raises `NotVerified`."""
    if not np.isfinite(bound).all():
        raise NotVerified("A bound overflows; rescale the matrix.", np.inf)
    return bound


def _eigenvectors(
    A: Square,
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], int, Square]:
    """Centres of the units, the number of real ones, and the real basis: candidates only."""
    try:
        with np.errstate(all="ignore"):
            values, vectors = np.linalg.eig(A)
    except np.linalg.LinAlgError as error:
        raise NotVerified("The eigenvalue iteration does not converge.", np.inf) from error
    mu, w = np.real(values), np.imag(values)
    real, upper = np.flatnonzero(w == 0), np.flatnonzero(w > 0)
    # NaN is in neither list.
    if len(real) + 2 * len(upper) != len(A) or not np.isfinite(vectors).all():
        raise NotVerified("The approximate eigenvalues are not conjugate pairs.", np.inf)
    a, b = np.real(vectors), np.imag(vectors)
    units = np.concatenate([real, upper])
    return mu[units], w[units], len(real), np.hstack([a[:, units], b[:, upper]])


def _times_centres(
    basis: Square, mu: Float[np.ndarray, " m"], w: Float[np.ndarray, " pairs"]
) -> Ball:
    """`V D` in real form: `(mu + i w)(a + i b) = (mu a - w b) + i (w a + mu b)`."""
    pairs, real = len(w), len(mu) - len(w)
    a, b = Ball.exact(basis[:, real : real + pairs]), Ball.exact(basis[:, real + pairs :])
    parts = [
        Ball.exact(basis[:, :real]) * mu[:real],
        a * mu[real:] - b * w,
        a * w + b * mu[real:],
    ]
    return Ball(np.hstack([p.mid for p in parts]), np.hstack([p.rad for p in parts]))


def _unit_coupling(bound: Square, real: int) -> UnitSquare:
    """Bounds between units from bounds `F` in the real basis.

    For two pairs `2 E = (F_aa + F_bb) + i (F_ab - F_ba)`, or `(F_aa - F_bb) - i (F_ab + F_ba)`
    with a conjugate; from a pair to a real unit `E = F_a + i F_b`; back, `2 E = F_a - i F_b`.
    """
    pairs = (len(bound) - real) // 2
    r, a, b = slice(real), slice(real, real + pairs), slice(real + pairs, None)
    F = Ball.exact(bound)
    coupling = np.empty((real + pairs, real + pairs))
    coupling[r, r] = bound[r, r]
    coupling[r, real:] = modulus_upper(bound[r, a], bound[r, b])
    # Halving is exact but for subnormal numbers, where the ball widens.
    half_a, half_b = (F * 0.5)[a, r].upper(), (F * 0.5)[b, r].upper()
    coupling[real:, r] = modulus_upper(half_a, half_b)
    even, odd = (F[a, a] + F[b, b]) * 0.5, (F[a, b] + F[b, a]) * 0.5
    coupling[real:, real:] = modulus_upper(even.upper(), odd.upper())
    return finite(coupling)


def row_sums(diagonal: Diagonalisation) -> Float[np.ndarray, " m"]:
    """Bounds of the row sums of `|E|` over all eigenvalues."""
    return finite_upper(ball_sum(Ball.exact(diagonal.coupling) * diagonal.multiplicity, axis=1))


def column_sums(diagonal: Diagonalisation) -> Float[np.ndarray, " m"]:
    """Bounds of the column sums of `|E|` over all eigenvalues."""
    weighted = Ball.exact(diagonal.coupling) * diagonal.multiplicity[:, None]
    return finite_upper(ball_sum(weighted, axis=0))


def unit_discs(diagonal: Diagonalisation) -> UnitDiscs:
    """Radii, clusters and distances of the discs; `j` runs over rows, `k` over columns."""
    radii = row_sums(diagonal)
    mu, w = Ball.exact(diagonal.mu), Ball.exact(diagonal.w)
    along = mu[:, None] - mu[None, :]
    r = Ball.exact(radii)
    to_units = ComplexBall(along, w[:, None] - w[None, :])
    to_conjugates = ComplexBall(along, w[:, None] + w[None, :])
    same = np.array((Ball.exact(to_units.mignitude()) - r).lower())
    other = (Ball.exact(to_conjugates.mignitude()) - r).lower()
    # What has no disc of its own is infinitely far: unit k itself, conjugates of real centres.
    np.fill_diagonal(same, np.inf)
    other = np.where(diagonal.multiplicity[:, None] == 1, np.inf, other)
    nearest = np.minimum(same, other)
    meets = ~(nearest > radii[:, None])
    clusters = connected_components(meets, directed=False)[1]
    isolated = np.logical_not(meets.any(axis=0) | meets.any(axis=1))
    closest = np.where(isolated, nearest, np.inf)
    total = _reciprocal(np.where(isolated, same, np.inf)) + _reciprocal(
        np.where(isolated, other, np.inf)
    )
    return UnitDiscs(
        radii, clusters, isolated, finite_upper(_reciprocal(closest)), finite_upper(total)
    )


def _reciprocal(distance: UnitSquare) -> Ball:
    """`1 / distance` for positive distances, 0 for infinite ones."""
    finite = np.isfinite(distance)
    inverse = 1.0 / Ball.exact(np.where(finite, distance, 1.0))
    return Ball(np.where(finite, inverse.mid, 0.0), np.where(finite, inverse.rad, 0.0))


def deviations(
    coupling: Float[np.ndarray, "m k"],
    sums: Float[np.ndarray, " m"],
    nearest: Float[np.ndarray, "m k"],
    total: Float[np.ndarray, "m k"],
) -> tuple[Float[np.ndarray, "m k"], Bool[np.ndarray, " k"]]:
    """Bounds of `y` in the eigenvectors `e_k + y` of `D + E`, both entries of a pair added.

    Row `j` reads `(lambda - lambda_j) y_j = E_jk + sum_l E_jl y_l`, so with `s = max |y_l|`
    `|y_j| <= (|E_jk| + sums_j s) / |lambda - lambda_j|`, and the largest entry bounds `s`. For
    left eigenvectors pass the transposed coupling and the column sums.

    **Returns:** the bounds, and for which columns the bound of `s` closed; others are meaningless.
    """
    E, near = Ball.exact(coupling), Ball.exact(nearest)
    growth = Ball.exact(finite_upper(near * sums[:, None]).max(axis=0, initial=0.0))
    slack = (1.0 - growth).lower()
    closed = slack > 0
    largest = Ball.exact(finite_upper(E * near).max(axis=0, initial=0.0))
    s = largest / np.where(closed, slack, 1.0)
    return finite_upper((E + s[None, :] * sums[:, None]) * total), closed


def refined_radii(diagonal: Diagonalisation, discs: UnitDiscs) -> Float[np.ndarray, " m"]:
    """Radii of the units: of the second order in `E` where the disc is isolated.

    Row `k` of the eigenvalue equation of `e_k + y` is `lambda - lambda_k = E_kk + sum_j E_kj y_j`.
    """
    G = diagonal.coupling
    y, closed = deviations(G, discs.radii, discs.nearest, discs.total)
    second = finite_upper(ball_sum(Ball.exact(G.T) * y, axis=0) + np.diagonal(G))
    return np.where(discs.isolated & closed, np.minimum(second, discs.radii), discs.radii)


def _all_discs(
    diagonal: Diagonalisation, discs: UnitDiscs, radii: Float[np.ndarray, " m"]
) -> Spectrum:
    """Units written out. An isolated conjugate has a cluster of its own."""
    upper = slice(diagonal.real, None)
    centres = diagonal.mu + 1j * diagonal.w
    fresh = discs.clusters.max() + 1 + np.arange(len(radii))
    mirrored = np.where(discs.isolated, fresh, discs.clusters)[upper]
    return Spectrum(
        np.concatenate([centres, centres[upper].conj()]),
        np.concatenate([radii, radii[upper]]),
        np.concatenate([discs.clusters, mirrored]),
        np.concatenate([discs.isolated, discs.isolated[upper]]),
    )
