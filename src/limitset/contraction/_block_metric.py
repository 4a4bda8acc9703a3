"""Metrics of a whole from the metrics of its parts: a weighted sum of squares, or a maximum."""

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset._types import Matrix, State
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.networks import split_state


class BlockMetric(AbstractMetric):
    """`|v|_M^2 = sum_i weights_i |v_i|_i^2`, so `M = blkdiag(weights_i M_i)`.

    **Arguments:**

    - `parts`: p metrics that come from a quadratic form: diagonal, quadratic, or block metrics.
    - `sizes`: the number of states of each part.
    - `weights`: shape (p,), positive and finite; all 1 if omitted.

    >>> import jax.numpy as jnp
    >>> parts = (DiagonalMetric(jnp.ones(2)), QuadraticMetric(jnp.eye(1)))
    >>> float(BlockMetric(parts, (2, 1), jnp.array([1.0, 7.0])).norm(jnp.ones(3)))
    3.0
    """

    parts: tuple[AbstractMetric, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)
    weights: Float[Array, " p"]

    def __init__(
        self,
        parts: tuple[AbstractMetric, ...] | list[AbstractMetric],
        sizes: tuple[int, ...] | list[int],
        weights: Float[Array, " p"] | None = None,
    ) -> None:
        self.parts, self.sizes = tuple(parts), tuple(sizes)
        self.weights = jnp.ones(len(self.parts)) if weights is None else weights

    def __check_init__(self) -> None:
        _check_parts(self.parts, self.sizes, self.weights)
        for part in self.parts:
            if not isinstance(part, DiagonalMetric | QuadraticMetric | BlockMetric):
                raise InputProblem(
                    f"{type(part).__name__} does not come from a quadratic form; use "
                    "BlockMaximumMetric, which takes metrics of any kind"
                )

    def norm(self, v: State) -> Float[Array, ""]:
        """The root of the weighted sum of squares."""
        norms = [
            part.norm(x) for part, x in zip(self.parts, split_state(v, self.sizes), strict=True)
        ]
        return jnp.sqrt(jnp.sum(self.weights * jnp.stack(norms) ** 2))

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """The 2-norm of `S J S^-1`, with `S^T S = M`."""
        return jnp.linalg.norm(whitened(self, jacobian), 2)

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """The largest eigenvalue of the symmetric part of `S J S^-1`, with `S^T S = M`."""
        J = whitened(self, jacobian)
        return jnp.linalg.eigvalsh((J + J.T) / 2)[-1]

    def condition(self) -> float:
        """Largest over smallest eigenvalue of M."""
        least, most = stretches(self)
        return (most / least) * (most / least)


class BlockMaximumMetric(AbstractMetric):
    """`|v| = max_i weights_i |v_i|_i`, for parts of any kind, also of different kinds.

    **Arguments:**

    - `parts`: p metrics.
    - `sizes`: the number of states of each part.
    - `weights`: shape (p,), positive and finite; all 1 if omitted.

    >>> import jax.numpy as jnp
    >>> parts = (DiagonalMetric(jnp.ones(1)), DiagonalMetric(jnp.ones(1)))
    >>> float(BlockMaximumMetric(parts, (1, 1), jnp.array([1.0, 2.0])).norm(jnp.ones(2)))
    2.0
    """

    parts: tuple[AbstractMetric, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)
    weights: Float[Array, " p"]

    def __init__(
        self,
        parts: tuple[AbstractMetric, ...] | list[AbstractMetric],
        sizes: tuple[int, ...] | list[int],
        weights: Float[Array, " p"] | None = None,
    ) -> None:
        self.parts, self.sizes = tuple(parts), tuple(sizes)
        self.weights = jnp.ones(len(self.parts)) if weights is None else weights

    def __check_init__(self) -> None:
        _check_parts(self.parts, self.sizes, self.weights)

    def norm(self, v: State) -> Float[Array, ""]:
        """The largest weighted norm of a part."""
        norms = [
            part.norm(x) for part, x in zip(self.parts, split_state(v, self.sizes), strict=True)
        ]
        return jnp.max(self.weights * jnp.stack(norms))

    def gain(self, jacobian: Matrix) -> Float[Array, ""]:
        """A bound of the gain: the largest row sum of the gains between parts.

        `max_i sum_j weights_i / weights_j |J_ij|`; the gain itself has no closed form.
        """
        return jnp.max(self._between(jacobian, diagonal="gain").sum(axis=1))

    def measure(self, jacobian: Matrix) -> Float[Array, ""]:
        """A bound of the measure: `max_i measure_i(J_ii) + sum_j weights_i / weights_j |J_ij|`."""
        return jnp.max(self._between(jacobian, diagonal="measure").sum(axis=1))

    def condition(self) -> float:
        """`sup |v|_M / |v|` over `inf |v|_M / |v|`, squared."""
        least, most = stretches(self)
        return (most / least) * (most / least)

    def _between(self, jacobian: Matrix, *, diagonal: str) -> Float[Array, "p p"]:
        places = places_of(self.sizes)
        rows = [
            [
                getattr(part, diagonal)(jacobian[here, here])
                if here == there
                else cross_gain(part, other, jacobian[here, there])
                for other, there in zip(self.parts, places, strict=True)
            ]
            for part, here in zip(self.parts, places, strict=True)
        ]
        entries = jnp.stack([jnp.stack(row) for row in rows])
        return self.weights[:, None] * entries / self.weights


def places_of(sizes: tuple[int, ...]) -> tuple[slice, ...]:
    """Where parts of these sizes stand in the state."""
    ends = np.cumsum(sizes).tolist()
    return tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))


def quadratic_root(metric: AbstractMetric) -> Matrix | None:
    """Upper triangular S with `|v|_M = |S v|_2`, in floats; `None` if there is none."""
    if isinstance(metric, DiagonalMetric):
        return jnp.diag(metric.scale)
    if isinstance(metric, QuadraticMetric):
        return jnp.linalg.cholesky(metric.matrix, upper=True)
    if not isinstance(metric, BlockMetric):
        return None
    roots = [quadratic_root(part) for part in metric.parts]
    scaled = [jnp.sqrt(w) * r for w, r in zip(metric.weights, roots, strict=True) if r is not None]
    return jsl.block_diag(*scaled)


def whitened(metric: AbstractMetric, jacobian: Matrix) -> Matrix:
    """`S J S^-1` with `S^T S = M`."""
    S = quadratic_root(metric)
    if S is None:
        raise InputProblem(f"{type(metric).__name__} does not come from a quadratic form")
    return jsl.solve_triangular(S, (S @ jacobian).T, trans="T").T


def cross_gain(
    to: AbstractMetric, source: AbstractMetric, block: Float[Array, "n m"]
) -> Float[Array, ""]:
    """A bound of `sup |B v|_to / |v|_source`, in floats; the exact value for quadratic metrics."""
    if isinstance(to, BlockMaximumMetric):
        rows = zip(to.parts, places_of(to.sizes), to.weights, strict=True)
        return jnp.max(jnp.stack([w * cross_gain(m, source, block[at]) for m, at, w in rows]))
    if isinstance(source, BlockMaximumMetric):
        columns = zip(source.parts, places_of(source.sizes), source.weights, strict=True)
        return jnp.sum(jnp.stack([cross_gain(to, m, block[:, at]) / w for m, at, w in columns]))
    (S, p), (T, q) = _root_and_order(to), _root_and_order(source)
    X = jsl.solve_triangular(T, (S @ block).T, trans="T").T
    if p == q == 2:
        return jnp.linalg.norm(X, 2)
    if q == 1:
        return jnp.linalg.norm(X, ord=p, axis=0).max()
    if p == jnp.inf:
        return jnp.linalg.norm(X, ord=2 if q == 2 else 1, axis=1).max()
    if p == 1 and q == jnp.inf:
        return jnp.abs(X).sum()
    axis = 1 if p == 1 else 0
    crude = X.shape[1 - axis] ** 0.5 * jnp.linalg.norm(X, 2)
    return jnp.minimum(crude, jnp.linalg.norm(X, axis=axis).sum())


def _root_and_order(metric: AbstractMetric) -> tuple[Matrix, float]:
    """S and p with `|v|_M = |S v|_p`."""
    if isinstance(metric, SumMetric | MaximumMetric):
        return jnp.diag(metric.scale), 1 if isinstance(metric, SumMetric) else jnp.inf
    S = quadratic_root(metric)
    if S is None:
        raise InputProblem(f"no gain is known of a {type(metric).__name__}")
    return S, 2


def stretches(metric: AbstractMetric) -> tuple[float, float]:
    """The least and the largest `|v|_M / |v|_2`, in floats."""
    if isinstance(metric, DiagonalMetric):
        scale = np.asarray(metric.scale, np.float64)
        return float(scale.min()), float(scale.max())
    if isinstance(metric, QuadraticMetric):
        eigenvalues = np.linalg.eigvalsh(np.asarray(metric.matrix, np.float64))
        return float(eigenvalues[0] ** 0.5), float(eigenvalues[-1] ** 0.5)
    if isinstance(metric, SumMetric | MaximumMetric):
        scale = np.asarray(metric.scale, np.float64)
        if isinstance(metric, SumMetric):
            return float(scale.min()), float(np.linalg.norm(scale))
        return float(1 / np.linalg.norm(1 / scale)), float(scale.max())
    if not isinstance(metric, BlockMetric | BlockMaximumMetric):
        raise InputProblem(f"{type(metric).__name__} has no known stretches")
    weights = np.asarray(metric.weights, np.float64)
    least, most = np.array([stretches(part) for part in metric.parts]).T
    if isinstance(metric, BlockMetric):
        return float((weights**0.5 * least).min()), float((weights**0.5 * most).max())
    return float(((weights * least) ** -2).sum() ** -0.5), float((weights * most).max())


def _check_parts(
    parts: tuple[AbstractMetric, ...], sizes: tuple[int, ...], weights: Float[Array, " p"]
) -> None:
    require_arrays(weights=weights)
    if not parts or len(parts) != len(sizes) or weights.shape != (len(parts),):
        raise InputProblem(
            f"{len(parts)} metrics, {len(sizes)} sizes and weights of shape {weights.shape} came; "
            "give one metric, one size and one weight for each part"
        )
    if not all(size >= 1 for size in sizes):
        raise InputProblem(f"sizes are {sizes}; every part needs at least one state")
    for part, size in zip(parts, sizes, strict=True):
        known = metric_size(part)
        if known is not None and known != size:
            raise InputProblem(f"a metric of {known} states came for a part of {size}; match them")
    # Traced weights have no values to look at.
    if isinstance(weights, Tracer):
        return
    values = np.asarray(weights, np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputProblem(f"weights are {values.tolist()}; give positive, finite numbers")


def metric_size(metric: AbstractMetric) -> int | None:
    """Number of states that a metric measures; `None` for a kind unknown here."""
    if isinstance(metric, DiagonalMetric | SumMetric | MaximumMetric):
        return metric.scale.shape[0]
    if isinstance(metric, QuadraticMetric):
        return metric.matrix.shape[0]
    return sum(metric.sizes) if isinstance(metric, BlockMetric | BlockMaximumMetric) else None
