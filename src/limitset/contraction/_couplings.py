"""Couplings that cost nothing in given metrics: negative feedback, and damping."""

from collections.abc import Sequence

import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset.contraction._block_metric import metric_size, places_of, quadratic_root
from limitset.contraction._metric import AbstractMetric, DiagonalMetric


def skew_feedback(
    lower: Float[Array, "n n"],
    metrics: Sequence[AbstractMetric],
    gains: Float[Array, "p p"] | None = None,
) -> Float[Array, "n n"]:
    """Negative feedback between parts: `L_ij = B_ij`, `L_ji = -gains_ij M_j^-1 B_ij^T M_i`, i > j.

    With all gains 1, `M L` is skew for `M = blkdiag(M_i)`, and any B leaves the parts' rates as
    they are. Other gains are skew for other multiples of the `M_i`, if their product around every
    cycle of parts is 1 (taken as `1 / gains_ij` where the cycle goes from i down to j): on a tree,
    always. `Composition` finds the multiples.

    Computed in coordinates in which the metrics are the identity, so that large B and metrics far
    from round lose few digits.

    **Arguments:**

    - `lower`: B, shape (n, n); only blocks below the diagonal may differ from 0.
    - `metrics`: of the parts, quadratic ones; their order gives the blocks.
    - `gains`: shape (p, p), positive below the diagonal; 1 if omitted.

    **Returns:** L, shape (n, n); differentiable.

    **Raises:** `InputProblem` if shapes do not fit, a metric is not quadratic, or B has other
    blocks.

    >>> import jax.numpy as jnp
    >>> metrics = [DiagonalMetric(jnp.array([1.0])), DiagonalMetric(jnp.array([2.0]))]
    >>> skew_feedback(jnp.array([[0.0, 0.0], [3.0, 0.0]]), metrics).tolist()
    [[0.0, -12.0], [3.0, 0.0]]

    **Reference:** arXiv 2106.08928, equation 3; arXiv 2310.01571 for gains per edge.
    """
    require_arrays(lower=lower)
    sizes = _sizes(metrics, lower.shape)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    below = owner[:, None] > owner
    if not isinstance(lower, Tracer) and np.asarray(lower)[~below].any():
        raise InputProblem("lower has entries outside its blocks below the diagonal; set them to 0")
    B = jnp.where(below, lower, 0)
    back = _unwhiten(_whiten(B, metrics, sizes).T, metrics, sizes)
    if gains is not None:
        require_arrays(gains=gains)
        if gains.shape != (len(sizes),) * 2:
            raise InputProblem(f"gains have shape {gains.shape}; {(len(sizes),) * 2} is needed")
        back = back * gains.T[owner[:, None], owner]
    return B - jnp.where(below.T, back, 0)


def dissipative_coupling(
    skew: Float[Array, "n n"], damping: Float[Array, "n r"], metrics: Sequence[AbstractMetric]
) -> Float[Array, "n n"]:
    """`L = M^-1 (J - R)` with `J = skew - skew^T` and `R = damping damping^T`: `sym(M L) <= 0`.

    Diffusion and damping between parts, such as a graph's Laplacian `R`, beside exchange without
    loss. It costs no rate, whatever its size. R usually has blocks on the diagonal, so that the
    coupling belongs into a `Composite`; an `Assembly` has no place for them.

    **Arguments:** `skew`, shape (n, n), any matrix; `damping`, shape (n, r); `metrics` of the
    parts, quadratic ones.

    **Returns:** L, shape (n, n); differentiable.

    **Raises:** `InputProblem` if shapes do not fit or a metric is not quadratic.

    >>> import jax.numpy as jnp
    >>> metrics = [DiagonalMetric(jnp.array([2.0])), DiagonalMetric(jnp.array([1.0]))]
    >>> dissipative_coupling(jnp.zeros((2, 2)), jnp.array([[1.0], [-1.0]]), metrics).tolist()
    [[-0.25, 0.25], [1.0, -1.0]]
    """
    require_arrays(skew=skew, damping=damping)
    sizes = _sizes(metrics, skew.shape)
    if damping.ndim != 2 or damping.shape[0] != skew.shape[0]:
        raise InputProblem(f"damping has shape {damping.shape}; ({skew.shape[0]}, r) is needed")
    exchange = skew - skew.T - damping @ damping.T
    rows = []
    for metric, place in zip(metrics, places_of(sizes), strict=True):
        if isinstance(metric, DiagonalMetric):
            rows.append(exchange[place] / metric.scale[:, None] ** 2)
        else:
            rows.append(jsl.cho_solve((_root(metric), False), exchange[place]))
    return jnp.concatenate(rows)


def _whiten(
    matrix: Float[Array, "n n"], metrics: Sequence[AbstractMetric], sizes: tuple[int, ...]
) -> Float[Array, "n n"]:
    """`S X S^-1`, `S = blkdiag(S_i)`, `M_i = S_i^T S_i`."""
    pairs = list(zip(metrics, places_of(sizes), strict=True))
    rows = jnp.concatenate([_apply(m, matrix[at]) for m, at in pairs])
    return jnp.concatenate([_solve(m, rows[:, at].T, True).T for m, at in pairs], axis=1)


def _unwhiten(
    matrix: Float[Array, "n n"], metrics: Sequence[AbstractMetric], sizes: tuple[int, ...]
) -> Float[Array, "n n"]:
    """`S^-1 X S`."""
    pairs = list(zip(metrics, places_of(sizes), strict=True))
    rows = jnp.concatenate([_solve(m, matrix[at], False) for m, at in pairs])
    columns = [
        rows[:, at] * m.scale if isinstance(m, DiagonalMetric) else rows[:, at] @ _root(m)
        for m, at in pairs
    ]
    return jnp.concatenate(columns, axis=1)


def _apply(metric: AbstractMetric, block: Float[Array, "k m"]) -> Float[Array, "k m"]:
    if isinstance(metric, DiagonalMetric):
        return metric.scale[:, None] * block
    return _root(metric) @ block


def _solve(
    metric: AbstractMetric, block: Float[Array, "k m"], transposed: bool
) -> Float[Array, "k m"]:
    """`S^-1 X`, or `S^-T X`."""
    if isinstance(metric, DiagonalMetric):
        return block / metric.scale[:, None]
    return jsl.solve_triangular(_root(metric), block, trans="T" if transposed else "N")


def _root(metric: AbstractMetric) -> Float[Array, "k k"]:
    root = quadratic_root(metric)
    if root is None:
        raise InputProblem(
            f"{type(metric).__name__} does not come from a quadratic form; feedback needs one"
        )
    return root


def _sizes(metrics: Sequence[AbstractMetric], shape: tuple[int, ...]) -> tuple[int, ...]:
    for metric in metrics:
        _root(metric)
    sizes = tuple(metric_size(metric) or 0 for metric in metrics)
    if shape != (sum(sizes), sum(sizes)) or not sizes:
        raise InputProblem(f"a coupling of shape {shape} came for metrics of sizes {sizes}")
    return sizes
