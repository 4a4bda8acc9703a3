"""Candidates for the sector theorem. Floating point throughout: the theorem verifies them.

By the lemma of Kalman, Yakubovich and Popov a metric exists for multipliers `q` and a rate `c` if
and only if, at all frequencies,

    H(w) = Q N(w) + N(w)^* Q > 0,    N(w) = I - G C (i w - A - c)^-1 B,

(for maps with `exp(i w)`, and `A`, `B` over the factor). `H` is linear in `q`, so that a good `q`
is the one that maximises the sum of `log det H` over some frequencies. Then the rate is raised as
far as this `q` allows, and so on. A Riccati equation gives the metric.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from jaxtyping import Complex, Float

from limitset.contraction._layer import Vector
from limitset.contraction._lure import Lure
from limitset.contraction._search import mutual_scale

Square = Float[np.ndarray, "n n"]
Stack = Complex[np.ndarray, "k m m"]
Multipliers = Float[np.ndarray, " m"]
Points = Complex[np.ndarray, " k"]

# Rounds of centring cost some hundred products of matrices at each frequency.
_LARGEST = 128
_FREQUENCIES = 8
_ROUNDS, _NEWTON = 30, 8
_CLOSE = 1e-3
# Between the frequencies looked at, the condition may fail by a bit.
_RETREATS = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_REFINEMENTS = 4
# Slopes, as shares of their spans, whose resonances are looked at.
_SHARES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class SectorCandidate:
    """A symmetric metric `P` (n, n) and multipliers (m,) that may fulfil the inequality."""

    metric: Square
    multipliers: Multipliers


def find_sector_candidates(lure: Lure, continuous: bool) -> list[SectorCandidate]:
    """Candidates: the closed form where there is one, else what a search finds."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Of ill-conditioned systems, whose solutions the theorem judges.
        warnings.simplefilter("ignore")
        closed = _symmetric(lure) if continuous else None
        if closed is not None:
            return [closed]
        if len(lure.A.mid) > _LARGEST:
            return []
        try:
            system = _Floats(lure, continuous)
            # With all slopes 0 the linear part is what runs; it has to decay.
            if not system.limit > 0:
                return []
            return list(_searched(system) if len(lure.span) else _linear(system))
        except (np.linalg.LinAlgError, ValueError):
            return []  # numbers that overflow, or a resonance met exactly


def _symmetric(lure: Lure) -> SectorCandidate | None:
    """The best metric where `S W S^-1` is symmetric, for one layer with leak.

    With `W = U diag(s) U^T` below `a` in (0, 1) and leak 1: `theta = 2 a (1 + sqrt(1 - s / a))`,
    the metric is `U diag(theta^2) U^T` for firing rates and its inverse in the Hopfield form; the
    rate is `1 - a`, for the largest eigenvalue, or 0, as `a`.

    **Reference:** arXiv 2302.13452, 2604.15238.
    """
    A, B, C, size = lure.A.mid, lure.B.mid, lure.C.mid, len(lure.A.mid)
    leak = -float(A[0, 0])
    if not (leak > 0 and len(lure.span) == size and np.ptp(lure.span) == 0):
        return None
    identity, gain = np.eye(size), float(lure.span[0])
    hopfield = np.array_equal(C, identity)
    response = 1.0 if hopfield else float(B[0, 0])
    weight = B if hopfield else C * response
    if not (np.array_equal(A, -leak * identity) and (hopfield or (B == response * identity).all())):
        return None
    scale = mutual_scale(weight)
    whitened = scale[:, None] * weight / scale * (gain / leak)
    if not np.allclose(whitened, whitened.T, rtol=1e-6, atol=1e-9 * np.abs(whitened).max()):
        return None
    values, vectors = np.linalg.eigh(0.5 * whitened + 0.5 * whitened.T)
    a = max(float(values[-1]), 0.0) * (1 + 1e-9) + 1e-6
    theta = 2 * a * (1 + np.sqrt(np.maximum(0.0, 1 - values / a)))
    metric = (vectors * theta ** (-2.0 if hopfield else 2.0)) @ vectors.T
    q = leak / gain**2 / (4 * a) if hopfield else response**2 / leak * (4 * a)
    # Symmetrised last: the products round otherwise above the diagonal than below it.
    metric = scale[:, None] * metric * scale
    return SectorCandidate((metric + metric.T) / 2, q * scale**2)


class _Floats:
    """The system in floats. `level` is the rate, or `-log factor` of maps: larger is harder."""

    def __init__(self, lure: Lure, continuous: bool) -> None:
        self.A, self.B, self.C = lure.A.mid, lure.B.mid, lure.C.mid
        self.span, self.continuous = lure.span, continuous
        self.poles = np.linalg.eigvals(self.A)
        if continuous:
            self.limit = float(-self.poles.real.max())
        else:
            self.limit = float(-np.log(max(np.abs(self.poles).max(), 1e-6)))
        steepest = self.span.max(initial=0.0)
        self.size = abs(self.limit) + steepest * np.linalg.norm(self.B @ self.C, 2)
        # At the limit itself the responses have a pole.
        self.limit -= 1e-6 * self.size
        turns = [self._turns(self.A + share * (self.B * self.span) @ self.C) for share in _SHARES]
        self.dense = self._points(np.concatenate(turns), 4 * _FREQUENCIES)
        self.points = self._points(np.quantile(turns, np.linspace(0, 1, _FREQUENCIES)))

    def _turns(self, matrix: Square) -> Vector:
        poles = np.linalg.eigvals(matrix)
        return np.abs(poles.imag if self.continuous else np.angle(poles))

    def _points(self, turns: Vector, count: int = _FREQUENCIES) -> Points:
        """Zero, points from near to far, and the resonances of some members."""
        if self.continuous:
            spread = np.geomspace(1e-3, 10, count) * (self.size + np.abs(self.poles).max())
            return 1j * np.concatenate([[0.0], spread, turns])
        return np.exp(1j * np.concatenate([[0.0], np.geomspace(1e-3, np.pi, count), turns]))

    def violated(self, level: float, q: Multipliers) -> Points:
        """The points, among many, at which the condition fails most."""
        H = q[:, None] * self.responses(level, self.dense)
        least = np.linalg.eigvalsh(H + H.conj().swapaxes(1, 2))[:, 0]
        worst = np.argsort(least)[:_FREQUENCIES]
        return self.dense[worst[least[worst] <= 0]]

    def shifted(self, level: float) -> tuple[Square, Float[np.ndarray, "n m"]]:
        """`A` and `B` of the system whose level 0 is this level."""
        if self.continuous:
            return self.A + level * np.eye(len(self.A)), self.B
        return self.A * np.exp(level), self.B * np.exp(level)

    def responses(self, level: float, points: Points) -> Stack:
        """`N` at points of the axis or the circle."""
        A, B = self.shifted(level)
        shifted = points[:, None, None] * np.eye(len(A)) - A
        resolvents = np.linalg.solve(shifted, np.broadcast_to(B + 0j, (len(points), *B.shape)))
        return np.eye(len(self.span)) - self.span[:, None] * (self.C @ resolvents)

    def metrics(self, level: float, q: Multipliers) -> Iterator[Square]:
        """Solutions of the Riccati equation that makes the inequality sharp but for a bit."""
        A, B = self.shifted(level)
        across, rest = -self.C.T * (q * self.span), 2 * np.diag(q)
        for slack in (1e-4, 1e-7):
            own = -slack * np.abs(across).max() * np.eye(len(A))
            try:
                if self.continuous:
                    least = -sla.solve_continuous_are(A, B, own, rest, s=across)
                    most = sla.solve_continuous_are(-A, B, own, rest, s=-across)
                    # The solutions of the inequality lie between these, and are a convex set.
                    yield (least + most) / 2
                else:
                    least = -sla.solve_discrete_are(A, B, own, rest, s=across)
                yield least
            except (np.linalg.LinAlgError, ValueError):
                continue


def _linear(system: _Floats) -> Iterator[SectorCandidate]:
    """Lyapunov's metrics of a system without slopes, for decay nearly as fast as its poles."""
    identity = np.eye(len(system.A))
    for share in (0.5, 0.9, 0.99, 0.999):
        A = system.shifted(share * system.limit)[0]
        if system.continuous:
            metric = sla.solve_continuous_lyapunov(A.T, -identity)
        else:
            metric = sla.solve_discrete_lyapunov(A.T, identity)
        if np.isfinite(metric).all():
            yield SectorCandidate((metric + metric.T) / 2, np.zeros(0))


def _searched(system: _Floats) -> Iterator[SectorCandidate]:
    q, level = np.ones(len(system.span)), _start(system)
    for _ in range(_REFINEMENTS):
        if level is None:
            return
        level, q = _raised(system, level, q)
        violated = system.violated(level, q)
        if not len(violated):
            break
        system.points = np.concatenate([system.points, violated])
        level = _start(system, q, level)
    if level is None:
        return
    for retreat in _RETREATS:
        lower = level - retreat * system.size
        # In the inequality of maps the factor stands beside the metric only.
        multipliers = q if system.continuous else q * np.exp(-2 * lower)
        found = [m for m in system.metrics(lower, q) if np.isfinite(m).all()]
        yield from (SectorCandidate((m + m.T) / 2, multipliers) for m in found)
        if found:
            break


def _raised(system: _Floats, level: float, q: Multipliers) -> tuple[float, Multipliers]:
    """The highest level that can be reached at the points looked at, and its multipliers."""
    length = system.limit - level
    for _ in range(_ROUNDS):
        q = _centred(system.responses(level, system.points), q)
        length = min(4 * length, system.limit - level)
        while length > _CLOSE * system.size and not _allows(system, level + length, q):
            length /= 2
        if length <= _CLOSE * system.size:
            break
        # A bit less than what is possible, so that there is room for centring.
        level += 0.9 * length
    return level, q


def _start(
    system: _Floats, q: Multipliers | None = None, level: float | None = None
) -> float | None:
    """A level below the given one, or the limit, that the multipliers allow."""
    multipliers = np.ones(len(system.span)) if q is None else q
    highest, distance = system.limit if level is None else level, _CLOSE * system.size
    for _ in range(24):
        if _allows(system, highest - distance, multipliers):
            return highest - distance
        distance *= 2
    return None


def _allows(system: _Floats, level: float, q: Multipliers) -> bool:
    return _feasible(system.responses(level, system.points), q)


def _feasible(responses: Stack, q: Multipliers) -> bool:
    H = q[:, None] * responses
    try:
        np.linalg.cholesky(H + H.conj().swapaxes(1, 2))
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(responses).all())


def _centred(responses: Stack, q: Multipliers) -> Multipliers:
    """Newton's method for the largest sum of `log det H` among multipliers of the same sum."""
    ones = np.ones(len(q))
    for _ in range(_NEWTON):
        H = q[:, None] * responses
        inverse = np.linalg.inv(H + H.conj().swapaxes(1, 2))
        half = responses @ inverse
        whole = half @ responses.conj().swapaxes(1, 2)
        gradient = -2 * np.real(np.einsum("kii->i", half))
        hessian = 2 * np.real(half * half.swapaxes(1, 2) + whole * inverse.conj()).sum(0)
        hessian += 1e-12 * np.trace(hessian) / len(q) * np.eye(len(q))
        try:
            steps = sla.solve(hessian, np.column_stack([gradient, ones]), assume_a="pos")
        except (np.linalg.LinAlgError, ValueError):
            return q
        # The multiplier of the constraint that the entries of the step add up to 0.
        move = -steps[:, 0] + steps[:, 1] * (steps[:, 0].sum() / steps[:, 1].sum())
        decrement = float(-gradient @ move)
        length = 1.0 if decrement < 0.1 else 1 / (1 + np.sqrt(max(decrement, 0.0)))
        while length > 1e-6 and not _feasible(responses, q + length * move):
            length /= 2
        if not (decrement > 1e-2 and length > 1e-6):
            break
        q = q + length * move
    return q * (len(q) / q.sum())
