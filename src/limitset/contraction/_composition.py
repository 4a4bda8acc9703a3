"""Composition: certified parts under linear coupling, in a weighted sum of their metrics."""

import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import Evidence
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._frame import Frame, joined_frame, ruler_of
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.contraction._wiring import (
    WIRED,
    Wiring,
    best_join,
    certified_parts,
    part_bounds,
    wiring_of,
)
from limitset.contraction._wiring_weights import find_weights
from limitset.dynamics import CompositeMap
from limitset.networks import Composite
from limitset.proofs import (
    Ball,
    inf_norm_upper,
    largest_eigenvalue_upper,
    two_norm_upper,
)

Vector = Float[np.ndarray, " p"]

# Claims stay this share inside what was found, so that the checker's matrices are definite.
_ROOM = 2.0**-44
_TRIED = 3
# Parts of larger assemblies are certified in a given metric only: searching takes minutes.
_LARGEST_ASSEMBLY = 128


class Composition(AbstractTheorem):
    """Contraction of certified parts under a linear coupling, in `M = blkdiag(weights_i M_i)`.

    Hypotheses, for `x_i' = speeds_i f_i(x_i, u) + sum_j L_ij x_j`:

    1. Part i contracts at the rate `rate_i` in a quadratic metric `M_i`, positive definite.
    2. `sym(M L) <= blkdiag((speeds_i rate_i - rate) weights_i M_i)` with `rate > 0`.

    For `x+ = C concat(f_i(x_i, u))`, with parts of factors `factor_i < 1`:

    2. `|C blkdiag(factor_i I)|_M <= factor < 1`.

    A coupling with `M L` skew, negative feedback of any size, costs nothing: the rate is the least
    of `speeds_i rate_i`. The weights are free: on a tree each edge may have a feedback gain of its
    own, around a cycle their product must be 1. A damping, `sym(M L) <= 0`, costs nothing either.

    **Reference:** arXiv 2106.08928; arXiv 2310.01571 for gains per edge on a star.
    """

    theorems: tuple[AbstractTheorem, ...]

    @property
    def name(self) -> str:
        """`"composition"`."""
        return "composition"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Composites, assemblies, and their maps with split coupling."""
        return isinstance(system, WIRED)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Certify the parts, by `theorems`, then join them."""
        if not isinstance(system, Composite | CompositeMap):
            if isinstance(metric, DiagonalMetric):
                return Unknown("skew_feedback speaks of assemblies in a diagonal metric")
            if metric is None and system.state_size > _LARGEST_ASSEMBLY:
                return Unknown(
                    f"composition needs a BlockMetric for assemblies of over {_LARGEST_ASSEMBLY}"
                )
        if isinstance(metric, BlockMaximumMetric):
            return Unknown("composition needs a metric that comes from a quadratic form")
        wiring = wiring_of(system)
        if isinstance(wiring, str):
            return Unknown(wiring)
        weights = None
        if isinstance(metric, BlockMetric):
            weights = np.asarray(metric.weights, np.float64)
        found = certified_parts(wiring, metric, (*self.theorems, self))
        return best_join(wiring, found, lambda w, parts: join_quadratic(w, parts, weights))


def join_quadratic(
    wiring: Wiring, parts: tuple[Certificate, ...], weights: Vector | None = None
) -> Certificate | Unknown:
    """The certificate of the whole from those of its parts, which are taken as data.

    **Arguments:** `weights` of the parts' metrics; sought if they are omitted.
    """
    bounds = part_bounds(wiring, parts)
    if isinstance(bounds, Unknown):
        return bounds
    frames: list[Frame] = []
    for index, (part, size) in enumerate(zip(parts, wiring.sizes, strict=True)):
        frame = ruler_of(part.metric, size)
        if isinstance(frame, str) or not isinstance(frame, Frame) or frame.order != 2:
            why = frame if isinstance(frame, str) else "it does not come from a quadratic form"
            return Unknown(f"the metric of part {index} does not combine under feedback: {why}")
        frames.append(frame)
    limits = np.array(bounds)
    options: list[Vector] = [] if weights is None else [weights]
    if weights is None:
        plain = _whitened(wiring, joined_frame(frames, wiring.sizes, np.ones(len(parts))))
        options = find_weights(plain.mid, wiring.places, limits, wiring.continuous)[:_TRIED]
    options = [w for w in options if np.isfinite(w).all() and (w > 0).all()]
    if weights is not None and not options:
        return Unknown("the weights of the metric are not positive, finite numbers")
    for option in options:
        frame = joined_frame(frames, wiring.sizes, option)
        bound = (_rate if wiring.continuous else _factor)(wiring, frame, limits)
        if bound is not None:
            return _certificate(wiring, parts, limits, bound, option)
    chosen = options[0] if options else np.ones(len(parts), np.float64)
    return _refusal(wiring, joined_frame(frames, wiring.sizes, chosen), limits)


def _rate(wiring: Wiring, frame: Frame, limits: Vector) -> float | None:
    """The verified rate, if it is positive.

    In coordinates `v = T y`, `y^T G y = |v|_M^2` with G between `least` and `most`, the growth of
    `|v|_M^2 / 2` is at most `y^T (H - blkdiag(limits_i G)) y`, `H = sym(T^T M L T)`.
    """
    X = _whitened(wiring, frame)
    H = (X + X.T) * 0.5
    low = Ball.exact((Ball.exact(_spread(wiring, limits)) * frame.least).lower())
    # Exact skewness leaves rounding only, which the row sums bound tightly and for nothing.
    defect = inf_norm_upper(H)
    if defect < 1e-9 * limits.min():
        slowest = float((Ball.exact(float(low.mid.min())) - defect).lower())
    else:
        diagonal = Ball(np.diag(low.mid), np.zeros(H.shape))
        slowest = -largest_eigenvalue_upper(H - diagonal)
    if not 0 < slowest < math.inf:
        return None
    rate = float((Ball.exact(slowest) / Ball.exact(frame.most) * (1 - _ROOM)).lower())
    return rate if 0 < rate < math.inf else None


def _factor(wiring: Wiring, frame: Frame, limits: Vector) -> float | None:
    """The verified factor, if it is below 1: `|C blkdiag(limits_i I)|_M`."""
    X = _whitened(wiring, frame) * Ball.exact(_spread(wiring, limits)).reshape(1, -1)
    norm = two_norm_upper(X)
    if not norm < math.inf:
        return None
    factor = float((Ball.exact(norm) / Ball.exact(frame.least) * (1 + _ROOM)).upper())
    return factor if 0 <= factor < 1 else None


def _whitened(wiring: Wiring, frame: Frame) -> Ball:
    """`T^T M L T`."""
    return frame.columns(frame.rows(Ball.exact(wiring.matrix)))


def _spread(wiring: Wiring, values: Vector) -> Float[np.ndarray, " n"]:
    return np.repeat(values, wiring.sizes)


def _refusal(wiring: Wiring, frame: Frame, limits: Vector) -> Unknown:
    """Which pair of parts fails, how far, and the direction in which the whole expands."""
    X, own = _whitened(wiring, frame).mid, _spread(wiring, limits)
    if not np.isfinite(X).all():
        return Unknown("the coupling is too large for the metric of the parts")
    if wiring.continuous:
        H = (X + X.T) / 2
        values, vectors = np.linalg.eigh(H - np.diag(own))
        before = after = vectors[:, -1]
        found = f"rate {-values[-1]:.6g}, slowest part {limits.min():.6g}"
    else:
        H = X * own
        left, values, right = np.linalg.svd(H)
        before, after = right[0], left[:, 0]
        found = f"factor {values[0]:.6g}, worst part {limits.max():.6g}"
    work = np.array(
        [[after[i] @ H[i, j] @ before[j] for j in wiring.places] for i in wiring.places]
    )
    if wiring.continuous or len(limits) > 1:
        np.fill_diagonal(work, -np.inf if len(limits) > 1 else 0.0)
    first, second = sorted(divmod(int(np.argmax(work)), len(limits)))
    turned = frame.columns(Ball.exact(np.eye(len(before)))).mid @ before
    pair = f"parts {first} and {second}" if first != second else f"part {first}"
    return Unknown(
        f"the coupling between {pair} is not paid for by the parts in their metric ({found})",
        direction=turned / np.linalg.norm(turned),
        pair=(first, second),
    )


def _certificate(
    wiring: Wiring, parts: tuple[Certificate, ...], limits: Vector, bound: float, weights: Vector
) -> Certificate:
    metrics = tuple(part.metric for part in parts)
    cost = limits.min() - bound if wiring.continuous else bound / limits.max(initial=1e-300)
    return Certificate(
        wiring.system,
        "composition",
        BlockMetric(metrics, wiring.sizes, jnp.asarray(weights)),
        bound if wiring.continuous else None,
        None if wiring.continuous else bound,
        tuple(part.theorem for part in parts),
        tuple(limits.tolist()),
        (float(cost),),
        parts=tuple(replace(part, tried=(), float32=None) for part in parts),
        evidence=min(Evidence.VERIFIED, *(part.evidence for part in parts)),
    )
