"""Multipliers of the sector theorem for a given metric. Floats: the theorem verifies them.

In coordinates in which the metric is the identity, with `t = -2 rate` or `factor^2`, the inequality
asks that `K(q, t) = K_0 + t E + sum_k q_k (u_k w_k^T + w_k u_k^T)` be positive definite: linear in
`q` and `t`. The least `t` is approached by minimising `weight t - log det K` for growing weights.
"""

import numpy as np
import scipy.linalg as sla
from jaxtyping import Float

from limitset.contraction._layer import Vector
from limitset.contraction._lure import Lure

Square = Float[np.ndarray, "n n"]
Multipliers = Float[np.ndarray, " m"]

_GROWTH, _OUTER, _NEWTON = 8.0, 40, 60
# How far above the least `t` the last of the weights stays, in units of the system's size.
_CLOSE = 1e-10


def find_multipliers(lure: Lure, metric: Square, continuous: bool) -> Multipliers | None:
    """Positive multipliers (m,) with nearly the best bound in the metric; `None` without any."""
    if not len(lure.span):
        return np.zeros(0)
    with np.errstate(all="ignore"):
        try:
            inequality = _Inequality(lure, metric, continuous)
            q, t = inequality.start()
            found = _minimise(inequality, q, t)
        except (np.linalg.LinAlgError, ValueError):
            return None  # no metric, or numbers that overflow
    # A slope that reaches nothing: the larger its multiplier, the better.
    found = np.where(inequality.idle, 1e6 * (found.max() + inequality.entering), found)
    return found if np.isfinite(found).all() else None


class _Inequality:
    """`K(q, t)`: a block of n states before a block of m slopes."""

    def __init__(self, lure: Lure, metric: Square, continuous: bool) -> None:
        root = np.linalg.cholesky(metric)
        A = root.T @ sla.solve_triangular(root, lure.A.mid.T, lower=True).T
        B = root.T @ lure.B.mid
        self.G = sla.solve_triangular(root, lure.C.mid.T * lure.span, lower=True)
        if continuous:
            blocks = [[A + A.T, B], [B.T, np.zeros((len(lure.span),) * 2)]]
        else:
            blocks = [[A.T @ A, A.T @ B], [B.T @ A, B.T @ B]]
        self.fixed, self.n = -np.block(blocks), len(A)
        self.idle = ~self.G.any(0)
        self.entering = np.linalg.norm(B, axis=0) ** 2
        # Their columns leave the inequality, so that no multiplier runs away.
        self.fixed[self.n :][self.idle] = 0.0
        self.fixed[:, self.n :][:, self.idle] = 0.0

    def start(self) -> tuple[Multipliers, float]:
        """Some multipliers, and a `t` with which they fulfil the inequality."""
        n, across = self.n, np.linalg.norm(self.fixed[: self.n, self.n :], axis=0)
        own = np.abs(self.fixed[n:, n:]).sum(1)
        steep = np.linalg.norm(self.G, axis=0)
        balanced = np.where(steep > 0, across / np.where(steep > 0, steep, 1.0), 1.0)
        q = np.maximum(np.maximum(balanced, own), 1e-6 * max(balanced.max(), 1e-290))
        matrix = self.at(q, 0.0)
        schur = matrix[:n, n:] @ np.linalg.solve(matrix[n:, n:], matrix[n:, :n])
        least = np.linalg.eigvalsh(schur - matrix[:n, :n])[-1]
        step = 1e-3 * max(abs(float(least)), float(np.abs(schur).max()))
        for _ in range(40):
            if np.isfinite(self.barrier(q, float(least) + step)):
                return q, float(least) + step
            step *= 4
        raise ValueError("no start was found")

    def at(self, q: Multipliers, t: float) -> Square:
        matrix, n, m = self.fixed.copy(), self.n, len(q)
        matrix[np.arange(n), np.arange(n)] += t
        matrix[n + np.arange(m), n + np.arange(m)] += 2 * q
        matrix[:n, n:] -= self.G * q
        matrix[n:, :n] -= (self.G * q).T
        return matrix

    def derivatives(self, q: Multipliers, t: float) -> tuple[Vector, Square]:
        """Gradient and Hessian of `-log det K` in `(q, t)`."""
        n, m = self.n, len(q)
        Y = np.linalg.inv(self.at(q, t))
        Y = (Y + Y.T) / 2
        # Rows `u_k^T Y` and `w_k^T Y`.
        u = Y[n:]
        w = u - self.G.T @ Y[:n]
        uw = u[:, n:] - u[:, :n] @ self.G
        ww = w[:, n:] - w[:, :n] @ self.G
        gradient = np.append(-2 * np.diag(uw), -np.trace(Y[:n, :n]))
        hessian = np.zeros((m + 1, m + 1))
        hessian[:m, :m] = 2 * (u[:, n:] * ww + uw * uw.T)
        hessian[:m, m] = hessian[m, :m] = 2 * (u[:, :n] * w[:, :n]).sum(1)
        hessian[m, m] = (Y[:n, :n] ** 2).sum()
        return gradient, hessian

    def barrier(self, q: Multipliers, t: float) -> float:
        """`-log det K`; infinite where K is not positive definite."""
        try:
            factor = np.linalg.cholesky(self.at(q, t))
        except np.linalg.LinAlgError:
            return float("inf")
        return -2 * float(np.log(np.diag(factor)).sum())


def _minimise(inequality: _Inequality, q: Multipliers, t: float) -> Multipliers:
    size, order = float(np.abs(inequality.fixed).max()) + abs(t), len(inequality.fixed)
    weight = order / size
    for _ in range(_OUTER):
        q, t, went = _centre(inequality, q, t, weight)
        if not went or order / weight < _CLOSE * size:
            break
        weight *= _GROWTH
    return q


def _centre(
    inequality: _Inequality, q: Multipliers, t: float, weight: float
) -> tuple[Multipliers, float, bool]:
    """Damped Newton steps on `weight t - log det K`, and whether they came near the minimum."""
    for _ in range(_NEWTON):
        try:
            gradient, hessian = inequality.derivatives(q, t)
            gradient[-1] += weight
            unit = 1 / np.sqrt(np.diag(hessian))
            scaled = hessian * unit[:, None] * unit + 1e-14 * np.eye(len(unit))
            move = -unit * np.linalg.solve(scaled, unit * gradient)
        except np.linalg.LinAlgError:
            return q, t, False
        decrement = float(-gradient @ move)
        if not decrement > 1e-3:
            return q, t, decrement >= 0
        start = weight * t + inequality.barrier(q, t)
        # The damping of self-concordant functions: longer steps end beside the boundary.
        length = 1.0 if decrement < 0.25 else 1 / (1 + np.sqrt(decrement))
        while length > 1e-6:
            other, above = q + length * move[:-1], t + length * float(move[-1])
            reached = weight * above + inequality.barrier(other, above)
            if reached <= start - 1e-2 * length * decrement:
                break
            length /= 2
        else:
            return q, t, False
        q, t = other, above
    return q, t, True
