"""What crosses the imaginary axis while a matrix moves: `J + t M(t)` for all `|t| <= half`.

With any regular `R`, `R^-1 (J + t M) R = D + E` has the eigenvalues in the discs around the entries
of the diagonal `D` with the row sums of `|E|` as radii. A disc apart from all others holds exactly
one, `lambda`, with an eigenvector `e + y`, `|lambda - D_jj| |y_j| <= |E_jk| + sum_l |E_jl| s` for
`s = max |y|`; so also for left ones `e + z` with columns. `lambda` then moves at the velocity
`(e + z)^T R^-1 M R (e + y) / (1 + z.y)`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flint import acb, acb_mat, arb, arb_mat, ctx

from limitset.checker._document import NotProved
from limitset.checker._field import Vector

_LOW = 64
Matrix = list[list[arb]]


class Crosser(NamedTuple):
    """The only eigenvalue, up to its conjugate, that may be on the axis.

    Its real part moves at `velocity`, its imaginary part is in `frequency`, 0 for a real one.
    `right` and `left` are its eigenvectors, of any length and phase, with `left.right = 1 + nu`,
    `|nu| < 1`.
    """

    is_pair: bool
    velocity: arb
    frequency: arb
    right: Vector
    left: Vector


def find_crosser(J: arb_mat, M: arb_mat, half: arb) -> Crosser | None:
    """The crosser, or None where certainly all eigenvalues stay off the axis.

    **Raises:** `NotProved` where neither is established.
    """
    moved = _Moved(J, M, half)
    # No disc that is off the axis matters; what touches it has to be alone.
    near = [k for k in range(moved.size) if not abs(moved.center[k].real) > moved.radius[k]]
    near = [k for k in near if not moved.is_off_axis(k)]
    if not near:
        return None
    k = max(near, key=lambda j: float(moved.center[j].imag.mid()))
    alone = len(near) <= 2 and all(moved.is_isolated(j) for j in near)
    mirror = moved.center[k].conjugate()
    others = [j for j in range(moved.size) if j not in near or (j == k and len(near) == 2)]
    if not (alone and all(moved.apart(mirror, moved.radius[k], j) for j in others)):
        raise NotProved("a single eigenvalue or pair near the axis is not established")
    return moved.crosser(k, len(near) == 2)


class _Moved:
    """The moving matrix in a basis of approximate eigenvectors."""

    def __init__(self, J: arb_mat, M: arb_mat, half: arb) -> None:
        with ctx.workprec(min(_LOW, ctx.prec)):
            _, vectors = acb_mat(J.mid()).eig(right=True, algorithm="approx")
            basis = _evened(vectors)
        try:
            inverse = basis.inv()
        except ZeroDivisionError:
            raise NotProved("the eigenvectors are not certainly independent") from None
        still = (inverse * acb_mat(J) * basis).tolist()
        self.size, self.basis, self.inverse = J.nrows(), basis, inverse
        self.motion = (inverse * acb_mat(M) * basis).tolist()
        self.speed = [[_size(entry) for entry in row] for row in self.motion]
        self.center = [still[k][k].mid() for k in range(self.size)]
        for k in range(self.size):
            still[k][k] -= self.center[k]
        self.error = [
            [_size(entry) + half * moved for entry, moved in zip(row, speeds, strict=True)]
            for row, speeds in zip(still, self.speed, strict=True)
        ]
        self.radius = [_total(row) for row in self.error]

    def apart(self, center: acb, radius: arb, j: int) -> bool:
        """Whether a disc certainly misses that of j."""
        return bool(abs(center - self.center[j]) > radius + self.radius[j])

    def is_isolated(self, k: int) -> bool:
        """Whether the disc of k certainly misses all others."""
        others = (j for j in range(self.size) if j != k)
        return all(self.apart(self.center[k], self.radius[k], j) for j in others)

    def is_off_axis(self, k: int) -> bool:
        """Whether the eigenvalue in an isolated disc certainly is, by its smaller disc."""
        return self.is_isolated(k) and bool(abs(self.center[k].real) > self._small_radius(k))

    def crosser(self, k: int, is_pair: bool) -> Crosser:
        """The eigenvalue in the isolated disc of k."""
        y = self._deviation(k, self.error)
        columns = [list(column) for column in zip(*self.error, strict=True)]
        z, n = self._deviation(k, columns), self.size
        nu = _dot(y, z)
        if not nu < 1:
            raise NotProved("an eigenvector is not established")
        carried = [_dot(row, y) for row in self.speed]
        spread = _dot(z, [row[k] for row in self.speed]) + carried[k] + _dot(z, carried)
        drift = (spread + self.speed[k][k]) * nu / (1 - nu)
        velocity = self.motion[k][k].real + arb(0, _upper(spread + drift))
        frequency = self.center[k].imag + arb(0, self._small_radius(k)) if is_pair else arb(0)
        columns_of, rows_of = self.basis.tolist(), self.inverse.tolist()
        right = [_fuzzy(row[k], _dot([_size(e) for e in row], y)) for row in columns_of]
        left = [
            _fuzzy(rows_of[k][i], _dot([_size(rows_of[j][i]) for j in range(n)], z))
            for i in range(n)
        ]
        return Crosser(is_pair, velocity, frequency, right, left)

    def _small_radius(self, k: int) -> arb:
        """`|E_kk| + sum_j |E_kj| |y_j|`."""
        y = self._deviation(k, self.error)
        return _upper(self.error[k][k] + _dot(self.error[k], y))

    def _deviation(self, k: int, error: Matrix) -> list[arb]:
        """Bounds of `y`; the largest entry of the eigenvector is the k-th, as `R_j < distance`."""
        others = [j for j in range(self.size) if j != k]
        distance = {j: abs(self.center[k] - self.center[j]) - self.radius[k] for j in others}
        if not all(gap > 0 for gap in distance.values()):
            raise NotProved("an eigenvector is not established")
        totals = {j: _total(error[j]) for j in others}
        growth = _largest([totals[j] / distance[j] for j in others])
        if not growth < 1:
            raise NotProved("an eigenvector is not established")
        s = _largest([error[j][k] / distance[j] for j in others]) / (1 - growth)
        y = [arb(0)] * self.size
        for j in others:
            y[j] = _upper((error[j][k] + totals[j] * s) / distance[j])
        return y


def _evened(vectors: acb_mat) -> acb_mat:
    """The columns with 1 as largest entry, about: else one disc pays for the others."""
    columns = [list(column) for column in zip(*vectors.tolist(), strict=True)]
    scaled = [[e / _largest([abs(e) for e in column]) for e in column] for column in columns]
    return acb_mat(scaled).transpose().mid()


def _size(entry: acb) -> arb:
    return entry.abs_upper()


def _upper(bound: arb) -> arb:
    return bound.upper()


def _total(row: Sequence[arb]) -> arb:
    return _upper(sum(row, arb(0)))


def _dot(left: Sequence[arb], right: Sequence[arb]) -> arb:
    return sum((a * b for a, b in zip(left, right, strict=True)), arb(0))


def _largest(bounds: Sequence[arb]) -> arb:
    largest = arb(0)
    for bound in bounds:
        largest = largest.max(_upper(bound))
    return largest


def _fuzzy(entry: acb, radius: arb) -> acb:
    ball = arb(0, _upper(radius))
    return entry + acb(ball, ball)
