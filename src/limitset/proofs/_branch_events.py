"""What the spectrum does along one piece of a curve of equilibria.

Along the curve `J(s) = J(1/2) + (s - 1/2) J'`, with `J' = D^2 f(dy/ds, .)` enclosed over the whole
piece. In the basis `V` of approximate eigenvectors of `J(1/2)`, Gershgorin's discs of all `J(s)`
hold the spectrum. Where all discs miss the imaginary axis, nothing happens. Where one isolated
disc meets it, its eigenvalue is simple and differentiable, with the velocity `p^H J' q / p^H q`;
where the real part of that has one sign, the counts at both ends tell whether it crosses. Where
discs do not help, a Lyapunov form may show that nothing happens.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._branch_segment import Segment
from limitset.proofs._complex import ComplexBall
from limitset.proofs._inertia import lyapunov_candidate
from limitset.proofs._linalg import NotVerified, is_positive_definite
from limitset.proofs._parametric import ParametricField
from limitset.proofs._refusal import Reason, Refusal
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

Bounds = Float[np.ndarray, "m m"]


@dataclass(frozen=True, eq=False)
class Crossing:
    """Exactly one eigenvalue or conjugate pair crosses the imaginary axis, once, with speed.

    It is the only one in the disc of `radius` around `eigenvalue`, and no other is on the axis
    anywhere on the piece. `vector` is an approximate eigenvector, `unstable` counts the eigenvalues
    right of the axis before and after.
    """

    eigenvalue: complex
    radius: float
    vector: Complex[np.ndarray, " n"]
    unstable: tuple[int, int]

    @property
    def is_pair(self) -> bool:
        """Whether it is a conjugate pair; else the eigenvalue is real."""
        return self.eigenvalue.imag > 0


def examine(system: ParametricField, segment: Segment) -> Crossing | None | Refusal:
    """What certainly happens on the axis between the joints of a segment: one crossing, or none."""
    motion = system.bends(segment.tube, segment.velocity.reshape(1, -1))[0][:, :-1]
    try:
        found = _by_discs(segment, motion)
    except NotVerified as failure:
        found = spectrum_refusal(failure)
    if not isinstance(found, Refusal):
        return found
    return None if _stays_off(segment.middle, motion) else found


def _stays_off(middle: Ball, motion: Ball) -> bool:
    """Whether no eigenvalue meets the axis, shown without eigenvectors: two that become a pair
    have no basis of them.

    `P J + J^T P > 0` for one symmetric `P` excludes `J v = i w v`. It holds for all `J(s)` if it
    does for `J(1/2) +- J' / 2`, between which they are.
    """
    P = lyapunov_candidate(middle.mid)
    if P is None:
        return False
    halves = [Ball.exact(P) @ (middle + motion * side) for side in (0.5, -0.5)]
    return all(is_positive_definite(half + half.T) for half in halves)


def _by_discs(segment: Segment, motion: Ball) -> Crossing | None | Refusal:
    middle = diagonalise(segment.middle)
    direct, crossed = _in_units(middle, middle.inverse @ (motion @ middle.basis))
    moved = np.maximum(finite(direct.magnitude()), finite(crossed.magnitude()))
    coupling = finite((Ball.exact(middle.coupling) + Ball.exact(moved) * 0.5).upper())
    whole = dataclasses.replace(middle, coupling=coupling)
    discs = unit_discs(whole)
    radii = refined_radii(whole, discs)
    touching = np.flatnonzero(~((whole.mu > radii) | (-whole.mu > radii)))
    if not len(touching):
        return None
    k = int(touching[0])
    if len(touching) > 1 or not discs.isolated[k]:
        return Refusal(
            Reason.SPECTRUM_NOT_SEPARATED,
            f"{len(touching)} eigenvalues or pairs, not all isolated, may meet the imaginary axis",
            {"largest_radius": float(radii.max())},
        )
    velocity = _velocity(whole, discs, direct[k, k].re, moved, k)
    unstable = _counts(segment, velocity, 1 if k < whole.real else 2)
    if isinstance(unstable, Refusal):
        return unstable
    if unstable[0] == unstable[1]:
        return None
    shift = k + len(whole.mu) - whole.real
    q = whole.basis[:, k] + (0j if k < whole.real else 1j * whole.basis[:, shift])
    return Crossing(complex(whole.mu[k], whole.w[k]), float(radii[k]), q, unstable)


def _counts(segment: Segment, velocity: Ball, multiplicity: int) -> tuple[int, int] | Refusal:
    """The counts at both ends, if a simple eigenvalue crosses between them at most once."""
    direction = int(velocity.lower() > 0) - int(velocity.upper() < 0)
    if direction == 0:
        return Refusal(
            Reason.TRANSVERSALITY_UNDECIDED,
            f"an eigenvalue near the imaginary axis moves at a velocity in {velocity!r}",
        )
    before, after = segment.first.unstable, segment.last.unstable
    if before is None or after is None or after - before not in (0, direction * multiplicity):
        return Refusal(
            Reason.TRANSVERSALITY_UNDECIDED,
            "an eigenvalue may be on the imaginary axis at an end of the piece",
        )
    return before, after


def _velocity(whole: Diagonalisation, discs: UnitDiscs, own: Ball, moved: Bounds, k: int) -> Ball:
    """The velocity of the real part of the eigenvalue of an isolated unit.

    With the right and left eigenvectors `e_k + y`, `e_k + z` and `M = V^-1 J' V` it is
    `(e_k + z)^T M (e_k + y) / (1 + z.y)`; `moved` bounds the entries of `M`.
    """
    G, near, total = whole.coupling, discs.nearest[:, [k]], discs.total[:, [k]]
    y, closed_right = deviations(G[:, [k]], discs.radii, near, total)
    z, closed_left = deviations(G[[k]].T, column_sums(whole), near, total)
    right, left, M = Ball.exact(y[:, 0]), Ball.exact(z[:, 0]), Ball.exact(moved)
    nu = Ball.exact(float(ball_sum(right * left).upper()))
    if not (closed_right.all() and closed_left.all() and nu.upper() < 1):
        raise NotVerified("An eigenvector is not verified.", float(nu.upper()))
    carried = M @ right
    spread = ball_sum(left * M[:, k]) + carried[k] + ball_sum(left * carried)
    drift = (spread + float(M[k, k].mid)) * nu / (1.0 - nu)
    return own + Ball(np.zeros(()), finite_upper(spread + drift))


def _in_units(diagonal: Diagonalisation, S: Ball) -> tuple[ComplexBall, ComplexBall]:
    """`V^-1 M V` between the units, and from their conjugates, for `S = basis^-1 M basis`.

    A column of a pair is that of `a` and `i` times that of `b`; a row is half of the difference.
    """
    m, real = len(diagonal.mu), diagonal.real
    a, b = S[:, :m], S[:, m:]
    none = np.zeros((len(S), real))
    imaginary = Ball(np.hstack([none, b.mid]), np.hstack([none, b.rad]))
    half = np.where(np.arange(m) < real, 1.0, 0.5)[:, None]
    pads = np.zeros((real, m))

    def rows(column: Ball) -> tuple[Ball, Ball]:
        lower = column[m:]
        turned = Ball(np.vstack([pads, lower.mid]), np.vstack([pads, lower.rad]))
        return column[:m] * half, turned * half

    (re_a, re_b), (im_a, im_b) = rows(a), rows(imaginary)
    # (re_a - i re_b) + i (im_a - i im_b), and its conjugate columns.
    return (
        ComplexBall(re_a + im_b, im_a - re_b),
        ComplexBall(re_a - im_b, -im_a - re_b),
    )
