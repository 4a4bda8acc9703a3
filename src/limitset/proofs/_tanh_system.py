"""Systems `leak z = A tanh(C z + c) + d`, and operators that shrink boxes without losing a zero.

Boxes come in batches: arrays of bounds of shape `(boxes, m)`. Every operator holds for all members
of the balls `A`, `C`, `c`, `d`, and `c` may even depend on `z`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from limitset.proofs._ball import Ball, ball_sum
from limitset.proofs._elementary import tanh

Bounds = Float[np.ndarray, "boxes m"]
Marks = Bool[np.ndarray, "boxes m"]


@dataclass(frozen=True)
class TanhSystem:
    """`leak z = A tanh(C z + c) + d` with `A` of shape `(m, k)`, `C` of shape `(k, m)`."""

    leak: float
    A: Ball
    C: Ball
    c: Ball
    d: Ball

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.d)


@dataclass(frozen=True)
class Contraction:
    """What one pass makes of a batch of boxes.

    `lo`, `hi` bound all zeros of each box, and there are none where `lo > hi` somewhere. `near`
    marks boxes whose linear image is narrower than they are: a hint that Newton's method works.
    `split` is how much each coordinate adds to the width of the image: a hint where to bisect.
    """

    lo: Bounds
    hi: Bounds
    near: Bool[np.ndarray, " boxes"]
    split: Bounds


def all_zeros_box(system: TanhSystem) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Bounds of all zeros of the system: `|tanh| <= 1`."""
    k = len(system.c)
    everything = (system.A @ Ball(np.zeros(k), np.ones(k)) + system.d) / system.leak
    return everything.lower(), everything.upper()


def contract(system: TanhSystem, lo: Bounds, hi: Bounds) -> Contraction:
    """Cut boxes to the image of their values, and to that of a linear relaxation.

    With `tanh y = alpha y + e`, `e` in a ball for `y` in `C box + c`, and `M = leak - A alpha C`,
    a zero `z = center + h` has `M h = A (alpha (C center + c) + e) + d - leak center`, so
    `h = P (...) + (I - P M) h` for every matrix `P`; here a float inverse of `M`. The error of a
    chord is of second order in the width of the box, the slope's own width only of first.

    **Source:** the linear interval method of L. V. Kolev, Interval Methods for Circuit Analysis,
    World Scientific, 1993; chords as in arXiv 1811.00866.
    """
    A, C, leak = system.A, system.C, system.leak
    box = Ball.from_bounds(lo, hi)
    y = box @ C.T + system.c
    alpha, rest, values = relax_tanh(y.lower(), y.upper())
    image = (values @ A.T + system.d) / leak
    center = box.mid
    P = _approximate_inverses(system, alpha)
    boxes, m = lo.shape
    k = len(system.c)
    PA = (Ball.exact(P.reshape(boxes * m, m)) @ A).reshape(boxes, m, k)
    chords = PA * alpha[:, None, :]
    defect = np.eye(m) - leak * Ball.exact(P)
    defect = defect + (chords.reshape(boxes * m, k) @ C).reshape(boxes, m, m)
    shift = rest + alpha * (Ball.exact(center) @ C.T + system.c)
    residual = system.d - leak * Ball.exact(center)
    step = ball_sum(PA * shift.reshape(boxes, 1, k), axis=2)
    step = step + ball_sum(Ball.exact(P) * residual.reshape(boxes, 1, m), axis=2)
    h = Ball(np.zeros_like(lo), box.rad.copy()).reshape(boxes, 1, m)
    linear = center + step + ball_sum(defect * h, axis=2)
    narrower = linear.rad < 0.9 * box.rad + 1e-9 * (1.0 + np.abs(center))
    new_lo = np.maximum(np.maximum(lo, image.lower()), linear.lower())
    new_hi = np.minimum(np.minimum(hi, image.upper()), linear.upper())
    with np.errstate(all="ignore"):
        curved = np.abs(PA.mid).sum(axis=1) * rest.rad / y.rad
        split = np.nan_to_num((curved @ np.abs(C.mid)) * (new_hi - new_lo))
    return Contraction(new_lo, new_hi, np.asarray(narrower.all(axis=1)), split)


def relax_tanh(lo: Bounds, hi: Bounds) -> tuple[Bounds, Ball, Ball]:
    """Slopes `alpha` and a ball `e` with `tanh y - alpha y` in `e` for `lo <= y <= hi`; values.

    `g(y) = tanh y - alpha y` is odd, and concave for `y >= 0`. Its maximum over an interval is at
    an end or, for `y >= 0`, below the tangent at any point `p >= 0`:
    `g(p) + |g'(p)| max(p, |lo|, |hi|)`; `p` near `g' = 0` makes that sharp.

    **Returns:** `alpha` exact, `e`, and a ball that holds `tanh y` itself.
    """
    at_lo, at_hi = tanh(Ball.exact(lo)), tanh(Ball.exact(hi))
    alpha = _slopes(lo, hi, at_lo.mid, at_hi.mid)
    p = np.arctanh(np.sqrt(np.maximum(1.0 - alpha, 0.0)) * (1.0 - 1e-13))
    at_p = tanh(Ball.exact(p))
    reach = np.maximum(np.maximum(np.abs(lo), np.abs(hi)), p)
    tangent = Ball.exact(abs(1.0 - at_p * at_p - alpha).magnitude())
    top = (at_p - Ball.exact(p) * alpha + tangent * reach).upper()
    g_lo, g_hi = at_lo - Ball.exact(lo) * alpha, at_hi - Ball.exact(hi) * alpha
    rises_at_lo, falls_at_lo = _direction(at_lo, alpha)
    rises_at_hi, falls_at_hi = _direction(at_hi, alpha)
    no_top = (hi <= 0) | ((hi >= 0) & rises_at_hi) | ((lo >= 0) & falls_at_lo)
    no_bottom = (lo >= 0) | ((lo <= 0) & rises_at_lo) | ((hi <= 0) & falls_at_hi)
    largest = np.maximum(g_lo.upper(), g_hi.upper())
    smallest = np.minimum(g_lo.lower(), g_hi.lower())
    rest = Ball.from_bounds(
        np.where(no_bottom, smallest, np.minimum(smallest, -top)),
        np.where(no_top, largest, np.maximum(largest, top)),
    )
    return alpha, rest, Ball.from_bounds(at_lo.lower(), at_hi.upper())


def _direction(value: Ball, alpha: Bounds) -> tuple[Marks, Marks]:
    """Where the slope `1 - tanh^2` is certainly at least `alpha`, and certainly at most."""
    excess = 1.0 - value * value - alpha
    return excess.lower() >= 0, excess.upper() <= 0


def _slopes(lo: Bounds, hi: Bounds, at_lo: Bounds, at_hi: Bounds) -> Bounds:
    """Chords, steeper where the interval holds the inflection; any slope in [0, 1] would do."""
    width = hi - lo
    wide = width > 1e-7
    chord = np.where(wide, (at_hi - at_lo) / np.where(wide, width, 1.0), 1.0 - at_lo * at_hi)
    chord = np.clip(chord, 0.0, 1.0)
    # Even-handed: on [-r, r] the best slope exceeds the chord by a factor that grows with r.
    both = np.clip(2.0 * np.minimum(hi, -lo) / np.where(wide, width, 1.0), 0.0, 1.0)
    reach = np.maximum(np.abs(lo), np.abs(hi))
    return np.clip(chord * (1.0 + 0.05 * both * np.minimum(reach, 5.0)), 0.0, 1.0)


def _approximate_inverses(
    system: TanhSystem, alpha: Float[np.ndarray, "boxes k"]
) -> Float[np.ndarray, "boxes m m"]:
    """Float inverses of `leak - A alpha C`; nothing is assumed of them."""
    boxes, m = len(alpha), system.size
    scaled = (system.A.mid[None] * alpha[:, None, :]).reshape(boxes * m, -1)
    with np.errstate(all="ignore"):
        M = system.leak * np.eye(m) - (scaled @ system.C.mid).reshape(boxes, m, m)
    if not np.isfinite(M).all():
        return np.zeros_like(M)
    with np.errstate(all="ignore"):
        try:
            P = np.linalg.inv(M)
        except np.linalg.LinAlgError:
            # One singular matrix spoils the batch; a pseudoinverse exists for all of them.
            P = np.linalg.pinv(M)
    return np.where(np.abs(P) < 1e100, P, 0.0)
