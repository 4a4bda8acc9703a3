"""State operators of the form `-Lambda P`: positive rates times a symmetric definite matrix."""

from dataclasses import dataclass
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset.contraction._gram_metric import GramMetric
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import AbstractMetric, QuadraticMetric
from limitset.contraction._operator_bounds import bracket_matrix, euclidean_norm, exact
from limitset.networks import AbstractOperator, Convolution, DenseOperator, NegativeGram
from limitset.proofs import (
    Ball,
    convolution_norm_upper,
    largest_eigenvalue_upper,
    smallest_eigenvalue_lower,
)

Vector = Float[np.ndarray, " n"]
Square = Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class SymmetricForm:
    """`A = -diag(rates) P` with verified spectra.

    `lowest` and `highest` bound the eigenvalues of P, `slowest` and `fastest` those of
    `diag(rates)^(1/2) P diag(rates)^(1/2)`. `matrix` is P, where it is small enough to be formed.
    """

    metric: AbstractMetric
    matrix: Ball | None
    rates: Vector
    lowest: float
    highest: float
    slowest: float
    fastest: float


def symmetric_form(operator: AbstractOperator) -> SymmetricForm | str:
    """The form of a state operator, verified, or why it has none."""
    if isinstance(operator, NegativeGram):
        return _of_gram(operator)
    if isinstance(operator, DenseOperator):
        return _of_matrix(np.asarray(operator.matrix, np.float64))
    return (
        f"a {type(operator).__name__} is not known to be -Lambda P with P symmetric; use a "
        "NegativeGram of it, -(scale K^T K + shift)"
    )


def _of_gram(gram: NegativeGram) -> SymmetricForm | str:
    scale, shift = float(gram.scale), float(gram.shift)
    rates = np.ones(gram.input_size)
    if gram.rates is not None:
        rates = np.asarray(gram.rates, np.float64)
    if not (scale >= 0 and shift >= 0 and rates.shape == (gram.input_size,) and (rates > 0).all()):
        return (
            "scale and shift must be 0 or positive and every rate positive: with a rate of 0 or "
            "below, a unit is driven the wrong way"
        )
    matrix = bracket_matrix(gram)
    if matrix is not None and np.isfinite(matrix.rad).all():
        metric = GramMetric(gram.inner, gram.scale, gram.shift)
        return _with_spectra(metric, matrix, rates, shift)
    if not shift > 0:
        return "shift is 0, so P is not certainly positive definite"
    norm = euclidean_norm(gram.inner)
    highest = sum_upper(shift, product_upper(scale, norm, norm))
    driven = _rated_norm(gram.inner, rates)
    fastest = min(
        product_upper(highest, float(rates.max())),
        sum_upper(product_upper(shift, float(rates.max())), product_upper(scale, driven, driven)),
    )
    slowest = float((Ball.exact(shift) * float(rates.min())).lower())
    metric = GramMetric(gram.inner, gram.scale, gram.shift)
    return SymmetricForm(metric, None, rates, shift, highest, max(slowest, 0.0), fastest)


def _rated_norm(inner: AbstractOperator, rates: Vector) -> float:
    """An upper bound of `|K diag(rates)^(1/2)|_2` for a convolution with one rate per channel."""
    if not isinstance(inner, Convolution):
        return float("inf")
    by_channel = rates.reshape(inner.input_channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        return float("inf")
    roots = Ball.exact(by_channel[:, 0]).sqrt().reshape(1, -1, 1, 1)
    taps = exact(inner.taps) * roots
    return convolution_norm_upper(taps, inner.height, inner.width, inner.padding, inner.stride)


def _of_matrix(A: Square) -> SymmetricForm | str:
    found = recover_rates(A)
    if found is None:
        largest = float(np.abs(A - A.T).max())
        return (
            f"A is not -Lambda P with P exactly symmetric (A and A^T differ by up to {largest:.3g}"
            "): symmetrise it, or use a NegativeGram"
        )
    rates, quotient = found
    return _with_spectra(QuadraticMetric(jnp.asarray(-quotient)), Ball.exact(-quotient), rates, 0.0)


def _with_spectra(
    metric: AbstractMetric, P: Ball, rates: Vector, floor: float
) -> SymmetricForm | str:
    lowest = max(smallest_eigenvalue_lower(P), floor)
    highest = largest_eigenvalue_upper(P)
    if not lowest > 0:
        return f"P is not certainly positive definite: its least eigenvalue is above {lowest:.3g}"
    if (rates == 1).all():
        return SymmetricForm(metric, P, rates, lowest, highest, lowest, highest)
    roots = Ball.exact(rates).sqrt()
    whitened = P * roots.reshape(-1, 1) * roots.reshape(1, -1)
    slow = float((Ball.exact(lowest) * float(rates.min())).lower())
    slowest = max(smallest_eigenvalue_lower(whitened), slow, 0.0)
    fastest = min(largest_eigenvalue_upper(whitened), product_upper(highest, float(rates.max())))
    return SymmetricForm(metric, P, rates, lowest, highest, slowest, fastest)


def recover_rates(A: Square) -> tuple[Vector, Square] | None:
    """Positive rates and a symmetric S with `A = diag(rates) S` exactly, or `None`.

    The rates are found along a spanning tree of the entries that are not 0, and every entry of S
    is compared as a fraction: an entry that was rounded once refuses.
    """
    if np.array_equal(A, A.T):
        return np.ones(len(A)), A
    if ((A != 0) != (A.T != 0)).any():
        return None
    rates = np.zeros(len(A))
    for root in range(len(A)):
        reached = [root] if rates[root] == 0 else []
        rates[root] = rates[root] or 1.0
        while reached:
            i = reached.pop()
            fresh = np.flatnonzero((A[i] != 0) & (rates == 0))
            with np.errstate(all="ignore"):
                rates[fresh] = rates[i] * (A[fresh, i] / A[i, fresh])
            if not ((rates[fresh] > 0) & np.isfinite(rates[fresh])).all():
                return None
            reached.extend(int(j) for j in fresh)
    S = A / rates[:, None]
    if not np.array_equal(S, S.T):
        return None
    for i, j in np.argwhere(A != 0):
        if Fraction(float(S[i, j])) * Fraction(float(rates[i])) != Fraction(float(A[i, j])):
            return None
    return rates, S
