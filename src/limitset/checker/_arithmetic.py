"""Inequalities between matrices, in Arb: True only if they hold for all numbers in the balls.

Comparisons of balls that overlap, and of NaN, are False in Arb.
"""

from collections.abc import Sequence
from functools import reduce

from flint import arb, arb_mat


def whiten(values: Sequence[float], scale: Sequence[float]) -> arb_mat:
    """`S X S^-1`: entries `s_i x_ij / s_j`, exact where `s_i = s_j`."""
    n, entries, exact = len(scale), list(map(arb, values)), list(map(arb, scale))
    inverse = [1 / s for s in exact]
    for i, j in ((i, j) for i in range(n) for j in range(n) if scale[i] != scale[j]):
        entries[i * n + j] *= exact[i] * inverse[j]
    return arb_mat(n, n, entries)


def norm_at_most(V: arb_mat, bound: arb, factor: arb | float = 1.0) -> bool:
    """`factor |V|_2 <= bound`: by `|V|_2^2 <= |V|_1 |V|_inf`, or by `bound^2 - V^T V > 0`."""
    n, square = V.nrows(), arb(factor) ** 2
    sizes, ones = arb_mat(n, n, [abs(entry) for entry in V.entries()]), arb_mat(n, 1, [1] * n)
    rows, columns = (reduce(arb.max, (way * ones).entries()) for way in (sizes, sizes.transpose()))
    if not bound >= 0:
        return False
    crude = square * rows * columns <= bound**2
    return crude or is_positive_definite(bound**2 - V.transpose() * V * square)


def measure_at_most(V: arb_mat, bound: arb) -> bool:
    """`lambda_max(H) <= bound`, `H = (V + V^T) / 2`: by Gershgorin's discs, or `bound - H > 0`."""
    H = (V + V.transpose()) / 2
    ends = (sum(map(abs, row), row[i] - abs(row[i])) for i, row in enumerate(H.tolist()))
    return all(end <= bound for end in ends) or is_positive_definite(bound - H)


def is_positive_definite(matrix: arb_mat) -> bool:
    """Whether the symmetric matrix in the balls is positive definite.

    `[[A, B], [B^T, C]] > 0` if and only if `A > 0` and `C - B^T A^-1 B > 0`.
    """
    rows, h = matrix.tolist(), matrix.nrows() // 2
    if h <= 8:
        return _has_positive_pivots(rows)
    A, B = arb_mat([row[:h] for row in rows[:h]]), arb_mat([row[h:] for row in rows[:h]])
    C = arb_mat([row[h:] for row in rows[h:]])
    try:
        return is_positive_definite(A) and is_positive_definite(C - B.transpose() * A.solve(B))
    except ZeroDivisionError:  # Arb cannot tell A from a singular matrix
        return False


def _has_positive_pivots(rows: list[list[arb]]) -> bool:
    for k, pivot in enumerate(rows):
        if not pivot[k] > 0:
            return False
        for i in range(k + 1, len(rows)):
            ratio = rows[i][k] / pivot[k]
            for j in range(k + 1, i + 1):
                rows[i][j] -= ratio * rows[j][k]
    return True
