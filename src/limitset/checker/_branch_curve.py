"""Curves of equilibria of a family, piece by piece, by one Krawczyk test for all planes of a piece.

Between the points `p`, `q` of `y = (x, a)` the chord is `c(s) = p + s (q - p)`, the planes across
it have normals `u(s)` from one given normal to the next, and `F(y) = (f(x, a), u(s).(y - c(s)))`.
With `A` near the inverse of `DF` at `s = 1/2`, `Y >= |A F(c(s))|` and `Z >= |I - A DF|` on the
boxes `c(s) +- rho`, `Z rho + Y < rho` proves one zero for every `s`, a smooth curve.
"""

from typing import NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import NotProved, require
from limitset.checker._family import Family
from limitset.checker._field import Jet, Vector, times
from limitset.checker._krawczyk import around, column, enclose_zero, invert

_INFLATIONS = 12
_TINY = arb(2) ** -100


class Joint(NamedTuple):
    """The equilibrium in a plane, alone within the box of the pieces beside it."""

    point: Vector
    normal: Vector
    box: Vector

    @property
    def is_pinned(self) -> bool:
        """Whether the plane fixes the parameter, which then is exact."""
        return all(entry == 0 for entry in self.normal[:-1])


class Piece(NamedTuple):
    """The curve between two joints: `tube` holds it, `velocity` its derivative by `s`.

    At `s = 1/2 + t` it is within `radius` of `center + t chord`.
    """

    first: Joint
    last: Joint
    center: Vector
    chord: Vector
    radius: Vector
    tube: Vector
    velocity: Vector


def find_joint(family: Family, point: Vector, normal: Vector) -> Joint:
    """The equilibrium beside a point in the plane through it."""
    n = family.size

    def value(y: Vector) -> Vector:
        height = _dot(normal, [a - b for a, b in zip(y, point, strict=True)])
        return [*family.rest(family.at(y[:n], y[n])), height]

    def jacobian(y: Vector) -> arb_mat:
        return arb_mat([*_derivative(family, y), normal])

    return Joint(point, normal, enclose_zero(value, jacobian, point))


def connect(family: Family, first: Joint, last: Joint) -> Piece:
    """The curve from one joint to the next, which it reaches in the direction of its normal."""
    n = family.size
    chord = _minus(last.point, first.point)
    center = [(a + b) / 2 for a, b in zip(first.point, last.point, strict=True)]
    line = [a.union(b) for a, b in zip(first.point, last.point, strict=True)]
    turn = _minus(last.normal, first.normal)
    normal = [(a + b) / 2 for a, b in zip(first.normal, last.normal, strict=True)]
    A = invert(arb_mat([*_derivative(family, center), normal]))
    rows = A.tolist()
    columns = arb_mat([row[:n] for row in rows])
    straight = [row[n] for row in rows]
    # f(c(s)) is between f(p) and f(q) but for s (1 - s) / 2 D^2 f(chord, chord).
    ends = [family.rest(family.at(j.point[:n], j.point[n])) for j in (first, last)]
    flat = columns * column([a.union(b) for a, b in zip(*ends, strict=True)])
    curved = columns * (bend(family, _at(family, line), chord) * column(chord))
    Y = [_upper(abs(f) + abs(c) / 8) for f, c in zip(flat.entries(), curved.entries(), strict=True)]
    turned = arb_mat([[abs(a * t) / 2 for t in turn] for a in straight])
    rho = [_upper(3 * y + _TINY) for y in Y]
    for joint in (first, last):
        offsets = _minus(joint.box, joint.point)
        rho = [_upper(r.max(2 * abs(o))) for r, o in zip(rho, offsets, strict=True)]
    for _ in range(_INFLATIONS):
        middle = A * arb_mat([*_derivative(family, around(center, rho)), normal])
        moved = columns * bend(family, _at(family, around(line, rho)), chord)
        Z = _sizes(middle, moved)
        image = ((Z + turned) * column(rho) + column(Y)).entries()
        if all(i < r for i, r in zip(image, rho, strict=True)):
            require(_meets(first, rho) and _meets(last, rho), "two pieces of the curve do not meet")
            # The equilibria are within the image, which is the smaller box.
            velocity = _velocity(first, last, Z, straight, rho)
            return _piece(first, last, velocity, [_upper(i) for i in image])
        rho = [_upper(r.max(2 * i)) for i, r in zip(image, rho, strict=True)]
    raise NotProved("a curve of equilibria between two points is not established")


def _meets(joint: Joint, rho: Vector) -> bool:
    """Whether the equilibrium of the joint is in the box in which there is only one."""
    each = zip(joint.box, joint.point, rho, strict=True)
    return all(abs(b - p) <= r for b, p, r in each)


def _piece(first: Joint, last: Joint, velocity: Vector, radius: Vector) -> Piece:
    """The piece of equilibria within a radius of the chord."""
    ends = list(zip(first.point, last.point, strict=True))
    center, tube = [(a + b) / 2 for a, b in ends], around([a.union(b) for a, b in ends], radius)
    return Piece(first, last, center, _minus(last.point, first.point), radius, tube, velocity)


def between(family: Family, piece: Piece, t: arb) -> Joint:
    """The equilibrium of the piece at `s = 1/2 + t`."""
    pairs = zip(piece.first.normal, piece.last.normal, strict=True)
    normal = [(a + b) / 2 + t * (b - a) for a, b in pairs]
    point = [c + t * d for c, d in zip(piece.center, piece.chord, strict=True)]
    joint = find_joint(family, point, normal)
    inside = zip(joint.box, point, piece.radius, strict=True)
    require(all(abs(b - p) <= r for b, p, r in inside), "a point beside the curve is not on it")
    return joint


def origin(family: Family, first: Joint, last: Joint) -> Piece:
    """The piece of `x = 0`, which is at rest for every parameter."""
    a, b = first.point[-1], last.point[-1]
    # Else pieces could be counted twice, or the curve could end where it begins.
    require(b > a, "the origin is not followed upwards")
    still = [arb(0)] * family.size
    chord = [*still, b - a]
    return Piece(
        first, last, [*still, (a + b) / 2], chord, [*still, arb(0)], [*still, a.union(b)], chord
    )


def bend(family: Family, jet: Jet, direction: Vector) -> arb_mat:
    """The matrix of `D^2 f(direction, .)` in states and parameter, of shape (n, n + 1)."""
    v, t = direction[:-1], direction[-1]
    slope, curve, W = jet.phi[1], jet.phi[2], jet.weight
    if family.lift is not None:
        if not jet.is_firing:
            return _joined(_scaled_columns(W, _times(curve, v)), [arb(0)] * len(v))
        bent = _times(curve, _plus(times(W, v), [t * d for d in family.lift]))
        return _joined(_scaled_rows(W, bent), _times(bent, family.lift))
    V = family.field.direction
    if not jet.is_firing:
        state = _scaled_columns(W, _times(curve, v)) + _scaled_columns(V, slope) * t
        return _joined(state, times(V, _times(slope, v)))
    carried = times(V, jet.state)
    bent = _times(curve, _plus(times(W, v), [t * c for c in carried]))
    state = _scaled_rows(W, bent) + _scaled_rows(V, slope) * t
    return _joined(state, _plus(_times(bent, carried), _times(slope, times(V, v))))


def _velocity(first: Joint, last: Joint, Z: arb_mat, straight: Vector, rho: Vector) -> Vector:
    """`dy/ds = v speed / (u(s).v)` with `Df v = 0`, `u(1/2).v = 1`, `|v - A (0, 1)| <= Z B`, where
    `|v| <= B` and `speed = u(s).chord - (u(1) - u(0)).(y - c(s)) > 0`."""
    chord, turn = _minus(last.point, first.point), _minus(last.normal, first.normal)
    worst = arb(0)
    for i, r in zip((Z * column(rho)).entries(), rho, strict=True):
        worst = worst.max(_upper(i / r))
    require(worst < 1, "the direction of the curve is not established")
    largest = arb(0)
    for a, r in zip(straight, rho, strict=True):
        largest = largest.max(_upper(abs(a) / r))
    bound = [_upper(r * largest / (1 - worst)) for r in rho]
    for _ in range(4):
        next_bound = _plus((Z * column(bound)).entries(), [abs(a) for a in straight])
        bound = [_upper(a.min(b)) for a, b in zip(bound, next_bound, strict=True)]
    v = around(straight, [_upper(z) for z in (Z * column(bound)).entries()])
    # What is linear in s is between its values at the ends.
    ahead = _dot(first.normal, chord).union(_dot(last.normal, chord))
    along = _dot(first.normal, v).union(_dot(last.normal, v))
    speed = ahead - _dot(turn, around([arb(0)] * len(rho), rho))
    require(speed > 0 and along > 0, "the curve may turn back between two points")
    velocity = [entry * (speed / along) for entry in v]
    require(_dot(velocity, chord) > 0, "the curve may turn back between two points")
    return velocity


def _at(family: Family, y: Vector) -> Jet:
    return family.at(y[:-1], y[-1])


def _derivative(family: Family, y: Vector) -> list[Vector]:
    """The rows of `Df` in states and parameter."""
    jet = _at(family, y)
    return _joined(jet.jacobian(), family.slope(jet)).tolist()


def _sizes(product: arb_mat, moved: arb_mat) -> arb_mat:
    """`|I - product| + |moved| / 2`, entry by entry."""
    pairs = zip(product.tolist(), moved.tolist(), strict=True)
    return arb_mat(
        [
            [
                _upper(abs(a - (i == j)) + abs(b) / 2)
                for j, (a, b) in enumerate(zip(*rows, strict=True))
            ]
            for i, rows in enumerate(pairs)
        ]
    )


def _joined(matrix: arb_mat, last: Vector) -> arb_mat:
    return arb_mat([[*row, e] for row, e in zip(matrix.tolist(), last, strict=True)])


def _scaled_rows(matrix: arb_mat, scale: Vector) -> arb_mat:
    return arb_mat([[e * s for e in row] for row, s in zip(matrix.tolist(), scale, strict=True)])


def _scaled_columns(matrix: arb_mat, scale: Vector) -> arb_mat:
    return arb_mat([_times(row, scale) for row in matrix.tolist()])


def _times(u: Vector, v: Vector) -> Vector:
    return [a * b for a, b in zip(u, v, strict=True)]


def _plus(u: Vector, v: Vector) -> Vector:
    return [a + b for a, b in zip(u, v, strict=True)]


def _minus(u: Vector, v: Vector) -> Vector:
    return [a - b for a, b in zip(u, v, strict=True)]


def _dot(u: Vector, v: Vector) -> arb:
    return sum(_times(u, v), arb(0))


def _upper(bound: arb) -> arb:
    return bound.upper()
