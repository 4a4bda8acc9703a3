"""Points where one real eigenvalue is critical: folds, flips, and pitchforks of odd fields.

Conventions: `J q = m q`, `p^T J = m p^T`, `|q|_2 = 1`, `p.q = 1`; `m` is 0 for flows, 1 for folds
and -1 for flips of maps. Derivatives without factorials.
"""

from typing import NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require
from limitset.checker._eigenvalues import outside_circle, real_part, sides
from limitset.checker._family import Family
from limitset.checker._field import Jet, Vector, times
from limitset.checker._krawczyk import column, enclose_zero, solve


class Point(NamedTuple):
    """What the checker has found: enclosures, the count, and what follows from the signs.

    `above` says on which side of the parameter that exists which is born here, and `stable`
    whether it attracts, or one of two.
    """

    numbers: dict[str, arb]
    state: Vector
    unstable: int
    above: bool
    stable: bool


def find_fold(family: Family, start: Vector, phi: Vector) -> Point:
    """`y' = speed (a - a*) + coefficient y^2`: `p.f_a` and `p.B(q, q) / 2`."""
    system = RealCritical(family, phi, family.still)
    a, *rest = enclose_zero(system.value, system.jacobian, start)
    jet, v = system.expand([a, *rest])
    J = jet.jacobian()
    unstable = count_unstable(J, 1, family.still)
    q, p = _critical_vectors(J, family.still, v)
    speed, coefficient = dot(p, family.slope(jet)), dot(p, jet.second(q, q)) / 2
    if speed < 0:  # both are odd in q
        speed, coefficient = -speed, -coefficient
    require_signs(speed, coefficient)
    numbers = {"parameter": a, "speed": speed, "coefficient": coefficient}
    return Point(numbers, jet.state, unstable, bool(coefficient < 0), unstable == 0)


def find_flip(family: Family, start: Vector, phi: Vector) -> Point:
    """`y+ = (-1 + speed (a - a*)) y + coefficient y^3` with

    `speed = p.(f_xa q + B(q, x'))`, `x' = (I - J)^-1 f_a`, and
    `coefficient = p.[C(q, q, q) + 3 B(q, (I - J)^-1 B(q, q))] / 6`.
    """
    require(family.still == 1, "flips are of maps")
    system = RealCritical(family, phi, -1)
    a, *rest = enclose_zero(system.value, system.jacobian, start)
    jet, v = system.expand([a, *rest])
    J = jet.jacobian()
    unstable = count_unstable(J, 1, family.still)
    q, p = _critical_vectors(J, -1, v)
    resting = shifted(-J, -1)
    moved, bent = (
        solve(resting, column(right)).entries() for right in (family.slope(jet), jet.second(q, q))
    )
    speed = dot(p, family.tilt(jet, q)) + dot(p, jet.second(q, moved))
    coefficient = (dot(p, jet.third(q, q, q)) + 3 * dot(p, jet.second(q, bent))) / 6
    require_signs(speed, coefficient)
    numbers = {"parameter": a, "speed": speed, "coefficient": coefficient}
    attracts = bool(coefficient > 0)
    above = attracts == bool(speed < 0)
    return Point(numbers, jet.state, unstable, above, attracts and unstable == 0)


def find_pitchfork(family: Family, start: Vector, phi: Vector) -> Point:
    """`y' = speed (a - a*) y + coefficient y^3`: `p.f_xa q` and `p.C(q, q, q) / 6` at state 0.

    Odd fields only: tanh, and a bias of exactly 0 for every parameter.
    """
    field = family.field
    odd = field.activation == "tanh" and all(b == 0 for b in field.bias) and family.lift is None
    require(family.still == 0 and odd, "the field is not odd: it needs tanh and a bias of 0")
    system = OddCritical(family, phi)
    a, *v = enclose_zero(system.value, system.jacobian, start)
    jet = family.at(system.origin, a)
    J = jet.jacobian()
    unstable = count_unstable(J, 1, 0)
    q, p = _critical_vectors(J, 0, v)
    speed, coefficient = dot(p, family.tilt(jet, q)), dot(p, jet.third(q, q, q)) / 6
    require_signs(speed, coefficient)
    numbers = {"parameter": a, "speed": speed, "coefficient": coefficient}
    attracts = bool(coefficient < 0)
    above = attracts == bool(speed > 0)
    return Point(numbers, system.origin, unstable, above, attracts and unstable == 0)


class RealCritical:
    """`phi.v - 1`, `f - still x`, `J v - m v` of `(a, x, v)`."""

    def __init__(self, family: Family, phi: Vector, m: int) -> None:
        self.family, self.phi, self.m = family, phi, m

    def expand(self, z: Vector) -> tuple[Jet, Vector]:
        """The field over the states and parameters of a box, and its vectors."""
        n = self.family.size
        return self.family.at(z[1 : n + 1], z[0]), z[n + 1 :]

    def value(self, z: Vector) -> Vector:
        """The left sides of the equations."""
        jet, v = self.expand(z)
        critical = times(shifted(jet.jacobian(), self.m), v)
        return [dot(self.phi, v) - 1, *self.family.rest(jet), *critical]

    def jacobian(self, z: Vector) -> arb_mat:
        """The derivative; its columns are along `a`, `x`, `v`."""
        (jet, v), family = self.expand(z), self.family
        J, none = jet.jacobian(), [arb(0)] * family.size
        still, critical = (shifted(J, k).tolist() for k in (family.still, self.m))
        slope, tilt, bent = family.slope(jet), family.tilt(jet, v), jet.bend(v).tolist()
        rows = [[arb(0), *none, *self.phi]]
        rows += [[s, *row, *none] for s, row in zip(slope, still, strict=True)]
        rows += [[t, *b, *row] for t, b, row in zip(tilt, bent, critical, strict=True)]
        return arb_mat(rows)


class OddCritical:
    """`phi.v - 1`, `J v` of `(a, v)`, at the state 0."""

    def __init__(self, family: Family, phi: Vector) -> None:
        self.family, self.phi, self.origin = family, phi, [arb(0)] * family.size

    def value(self, z: Vector) -> Vector:
        """The left sides of the equations."""
        jet = self.family.at(self.origin, z[0])
        return [dot(self.phi, z[1:]) - 1, *times(jet.jacobian(), z[1:])]

    def jacobian(self, z: Vector) -> arb_mat:
        """The derivative; its columns are along `a`, `v`."""
        jet = self.family.at(self.origin, z[0])
        rows = zip(self.family.tilt(jet, z[1:]), jet.jacobian().tolist(), strict=True)
        return arb_mat([[arb(0), *self.phi], *([tilt, *row] for tilt, row in rows)])


def _critical_vectors(J: arb_mat, m: int, v: Vector) -> tuple[Vector, Vector]:
    """`q = v / |v|`, and `p` from `(J^T - m) p + q s = 0`, `q.p = 1`; then `s = 0`."""
    n, length = len(v), dot(v, v).sqrt()
    q = [entry / length for entry in v]
    rows = shifted(J.transpose(), m).tolist()
    bordered = arb_mat([*([*row, e] for row, e in zip(rows, q, strict=True)), [*q, arb(0)]])
    right = column([arb(0)] * n + [arb(1)])
    return q, solve(bordered, right).entries()[:n]


def count_unstable(J: arb_mat, critical: int, still: int) -> int:
    """Eigenvalues right of the imaginary axis, of maps outside the unit circle.

    The caller has `critical` many on it: they are simple, and no other lies there.
    """
    return sides(J, outside_circle if still else real_part, critical)[0]


def require_signs(speed: arb, coefficient: arb) -> None:
    """Require that both certainly have one."""
    require(speed > 0 or speed < 0, "the sign of the speed is not established")
    certain = coefficient > 0 or coefficient < 0
    require(certain, "the sign of the coefficient is not established")


def shifted(J: arb_mat, m: int) -> arb_mat:
    """`J - m I`."""
    matrix = arb_mat(J)
    for i in range(matrix.nrows()):
        matrix[i, i] -= m
    return matrix


def dot(u: Vector, v: Vector) -> arb:
    """`u.v` of real vectors. Powers of balls around 0 are NaN in python-flint, products are not."""
    return (arb_mat(1, len(u), u) * column(v))[0, 0]
