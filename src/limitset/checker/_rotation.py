"""Neimark-Sacker points: a complex pair of multipliers crosses the unit circle.

Conventions: `J q = e q`, `e = exp(i angle)`, `0 < angle < pi`, `|q|_2 = 1`, `p^H q = 1`.
"""

from flint import acb, acb_mat, arb, arb_mat

from limitset.checker._document import require
from limitset.checker._family import Family
from limitset.checker._field import Jet, Vector, times
from limitset.checker._krawczyk import column, enclose_zero, solve
from limitset.checker._real_critical import Point, count_unstable, dot, require_signs, shifted


def find_neimark_sacker(family: Family, start: Vector, phi: Vector) -> Point:
    """`|z|+ = |z| (1 + speed (a - a*) + coefficient |z|^2)` with

    `speed = Re conj(e) p^H (f_xa q + B(q, x'))`, `x' = (I - J)^-1 f_a`, and
    `coefficient = Re conj(e) p^H [C(q, q, Q) + 2 B(q, (I - J)^-1 B(q, Q))
    + B(Q, (e^2 - J)^-1 B(q, q))] / 2`, `Q = conj(q)`.
    """
    require(family.still == 1, "Neimark-Sacker points are of maps")
    n = family.size
    system = Rotation(family, phi)
    a, angle, *rest = enclose_zero(system.value, system.jacobian, start)
    require_no_resonance(angle)
    x, v1, v2 = rest[:n], rest[n : 2 * n], rest[2 * n :]
    jet, e = family.at(x, a), acb(angle.cos(), angle.sin())
    J = jet.jacobian()
    unstable = count_unstable(J, 2, family.still)
    length = (dot(v1, v1) + dot(v2, v2)).sqrt()
    q = [acb(r, i) / length for r, i in zip(v1, v2, strict=True)]
    left = _left_vector(J, e, q)
    moved = solve(shifted(-J, -1), column(family.slope(jet))).entries()
    change = [t + b for t, b in zip(family.tilt(jet, q), jet.second(q, moved), strict=True)]
    speed = _turned(e, left, change)
    coefficient = _turned(e, left, _cubic(jet, J, e, q)) / 2
    require_signs(speed, coefficient)
    numbers = {"parameter": a, "angle": angle, "speed": speed, "coefficient": coefficient}
    attracts = bool(coefficient < 0)
    above = attracts == bool(speed > 0)
    return Point(numbers, x, unstable, above, attracts and unstable == 0)


def require_no_resonance(angle: arb) -> None:
    """Require `0 < angle < pi` and `exp(i k angle) != 1` for k = 3, 4; then for 1 and 2 too."""
    require(angle > 0 and angle < arb.pi(), "the angle is not certainly within (0, pi)")
    turn = 2 * arb.pi()
    for k in (3, 4):  # less than two full turns
        apart = k * angle < turn or k * angle > turn
        require(apart, f"strong resonance: {k} times the angle may be a full turn")


class Rotation:
    """`phi.v1`, `phi.v2 - 1`, `f - x`, `J v1 - c v1 + s v2`, `J v2 - c v2 - s v1` of

    `(a, angle, x, v1, v2)`, `c = cos(angle)`, `s = sin(angle)`: `J v = e v`, `v = v1 + i v2`.
    """

    def __init__(self, family: Family, phi: Vector) -> None:
        self.family, self.phi = family, phi

    def _expand(self, z: Vector) -> tuple[Jet, arb, arb, Vector, Vector]:
        n = self.family.size
        jet = self.family.at(z[2 : n + 2], z[0])
        return jet, z[1].cos(), z[1].sin(), z[n + 2 : 2 * n + 2], z[2 * n + 2 :]

    def value(self, z: Vector) -> Vector:
        """The left sides of the equations."""
        jet, c, s, v1, v2 = self._expand(z)
        J = jet.jacobian()
        each = zip(times(J, v1), times(J, v2), v1, v2, strict=True)
        real, imaginary = zip(
            *((j1 - c * r + s * i, j2 - c * i - s * r) for j1, j2, r, i in each), strict=True
        )
        scale = [dot(self.phi, v1), dot(self.phi, v2) - 1]
        return [*scale, *self.family.rest(jet), *real, *imaginary]

    def jacobian(self, z: Vector) -> arb_mat:
        """The derivative; its columns are along `a`, `angle`, `x`, `v1`, `v2`."""
        jet, c, s, v1, v2 = self._expand(z)
        n, zero, phi = self.family.size, arb(0), self.phi
        none, J = [zero] * n, jet.jacobian()
        resting = shifted(J, 1).tolist()
        rows = [[zero, zero, *none, *phi, *none], [zero, zero, *none, *none, *phi]]
        rows += [
            [d, zero, *row, *none, *none]
            for d, row in zip(self.family.slope(jet), resting, strict=True)
        ]
        for own, other, sign in ((v1, v2, 1), (v2, v1, -1)):
            tilt, bent, diagonal = self.family.tilt(jet, own), jet.bend(own).tolist(), J.tolist()
            for i in range(n):
                across = list(none)
                diagonal[i][i] -= c
                across[i] = sign * s
                pair = [*diagonal[i], *across] if sign == 1 else [*across, *diagonal[i]]
                rows.append([tilt[i], s * own[i] + sign * c * other[i], *bent[i], *pair])
        return arb_mat(rows)


def _left_vector(J: arb_mat, e: acb, q: Vector) -> Vector:
    """`r = conj(p)` from `(J^T - e) r + conj(q) t = 0`, `q.r = 1`."""
    n, rows = len(q), acb_mat(J.transpose()).tolist()
    for i, row in enumerate(rows):
        row[i] -= e
        row.append(q[i].conjugate())
    bordered = acb_mat([*rows, [*q, acb(0)]])
    return solve(bordered, acb_mat(n + 1, 1, [0] * n + [1])).entries()[:n]


def _cubic(jet: Jet, J: arb_mat, e: acb, q: Vector) -> Vector:
    Q = [entry.conjugate() for entry in q]
    mean = column([entry.real for entry in jet.second(q, Q)])  # B(q, Q) is real
    doubled = acb_mat(-J)
    for i in range(len(q)):
        doubled[i, i] += e * e
    double = solve(doubled, acb_mat(len(q), 1, jet.second(q, q))).entries()
    steady = jet.second(q, solve(shifted(-J, -1), mean).entries())
    terms = zip(jet.third(q, q, Q), steady, jet.second(Q, double), strict=True)
    return [c + 2 * s + d for c, s, d in terms]


def _turned(e: acb, left: Vector, right: Vector) -> arb:
    """`Re conj(e) p^H u`, for `left = p^H`."""
    product = acb_mat(1, len(left), left) * acb_mat(len(right), 1, right)
    return (e.conjugate() * product[0, 0]).real
