"""The statement `positional_replicators`: all fixed points `Pi a` of self-application up to a size.

`(1 - kappa_0) a = kappa_{1:3}` with `kappa = kappa(Pi a)`, four forms of degree `L`. With `a = s b`
and `b_i = 1`, the direction solves `k_j(b) = b_j k_i(b)`, and the size `t^L - k_i t = k_0` with
`t = 1/s`. The certificate names points near all directions; nothing else is believed of them.
"""

import itertools
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._document import (
    NotProved,
    TooMuchWork,
    require,
    take,
    take_list,
    take_real,
)
from limitset.checker._equilibrium import read_vector
from limitset.checker._krawczyk import (
    around,
    column,
    contraction,
    enclose_zero,
    has_one_zero,
    invert,
)
from limitset.checker._network import Network
from limitset.checker._particle import (
    QUESTION,
    Particle,
    Vector,
    cut,
    kappa,
    kappa_gradient,
    particle_of,
)

POSITIONAL = "reach fixed_points"
_MOST_DEPTH, _MOST_BOXES, _MOST_STEPS = 6, 400_000, 20_000
_NARROWEST, _CUT = 2.0**-60, 0.4871
# Cubes in which a direction is alone, from the largest.
_FIRST, _TRIALS = 0.125, 24

Table = list[list[arb]]


class Square(NamedTuple):
    """On `b_chart = 1`: two equations, `k_0` and `k_i`, then their slopes along both entries."""

    chart: int
    values: list[Table]
    slopes: list[tuple[Table, Table]]


class Line(NamedTuple):
    """Exactly one direction in a box, alone within `alone` of its middle."""

    chart: int
    box: Vector
    middle: Vector
    alone: float

    @property
    def vector(self) -> Vector:
        """All three entries."""
        return [*self.box[: self.chart], arb(1), *self.box[self.chart :]]


def prove_positional(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "directions", "the theorem is unknown")
    particle = particle_of(document, network)
    require(particle.activation == "identity", "this statement is about linear particles")
    require(particle.depth <= _MOST_DEPTH, f"it is checked for at most {_MOST_DEPTH} matrices")
    reach, entries = take(document["claim"], POSITIONAL)
    reach, entries = take_real(reach), take_list(entries)
    require(reach > 0, "the reach is not positive")
    Pi = arb_mat([[arb(x) for x in place] for place in particle.places])
    require(is_positive_definite(Pi.transpose() * Pi), "the coordinates are not of rank 3")
    boxes = [_prove_one(particle, Pi, entry, arb(reach)) for entry in entries]
    pairs = itertools.combinations(boxes, 2)
    distinct = all(any(a < b or a > b for a, b in zip(x, y, strict=True)) for x, y in pairs)
    require(distinct, "two fixed points of the list may be one")
    count = _count(particle, Pi, arb(reach), take(document["witness"], "directions")[0])
    require(count == len(boxes), f"there are {count} fixed points, not {len(boxes)}")


def _prove_one(particle: Particle, Pi: arb_mat, entry: Any, reach: arb) -> Vector:
    """One entry of the list: alone in its box, of class B, unstable, within reach."""
    *vectors, first, expansion = take(entry, "center radius kappa_0 expansion")
    center, radius = (read_vector(vector, 3) for vector in vectors)
    require(min(radius) > 0, "a radius is not positive")

    def weights(a: Vector) -> Vector:
        return (Pi * column(a)).entries()

    def value(a: Vector) -> Vector:
        zeroth, *others = kappa(particle, weights(a))
        return [(1 - zeroth) * x - k for x, k in zip(a, others, strict=True)]

    def jacobian(a: Vector) -> arb_mat:
        zeroth = kappa(particle, weights(a))[0]
        slope = (kappa_gradient(particle, weights(a)) * Pi).tolist()
        rows = [
            [-x * by - others for by, others in zip(slope[0], slope[1 + i], strict=True)]
            for i, x in enumerate(a)
        ]
        for i in range(3):
            rows[i][i] += 1 - zeroth
        return arb_mat(rows)

    A, box = invert(jacobian(center)), around(center, radius)
    shift = (A * column(value(center))).entries()
    proved = has_one_zero(contraction(A, jacobian(box)), shift, radius)
    require(proved, "exactly one fixed point in a box of the list is not established")
    low, high = (arb(take_real(end)) for end in take_list(first))
    zeroth, bound = kappa(particle, weights(box))[0], arb(take_real(expansion))
    known = low <= zeroth and zeroth <= high and (zeroth < 1 or zeroth > 1)
    require(known, "kappa_0 of a fixed point is not established")
    grows = abs(zeroth) >= bound or abs(zeroth + particle.depth) >= bound
    unstable = bound > 1 and grows and particle.size > 3
    require(unstable, "that a fixed point is unstable is not established")
    inside = all(abs(x) <= reach for x in box) and any(x > 0 or x < 0 for x in box)
    require(inside, "a fixed point is not certainly within reach, or may be 0")
    return box


def _count(particle: Particle, Pi: arb_mat, reach: arb, hints: Any) -> int:
    """How many fixed points there are, over all lines through 0."""
    forms = _forms(particle, Pi)
    squares = [_square(forms, chart) for chart in range(3)]
    found = []
    for hint in take_list(hints):
        chart, u, v = take(hint, "chart u v")
        require(chart in (0, 1, 2) and type(chart) is int, "a direction is malformed")
        found.append(_line(squares[chart], [arb(take_real(u)), arb(take_real(v))]))
    left = _MOST_BOXES
    for square in squares:
        here = [line for line in found if line.chart == square.chart]
        left = _search(square, particle.depth, reach, here, left)
    lines: list[Line] = []
    for line in found:
        if not any(_is_same(line, other) for other in lines):
            lines.append(line)
    apart = all(_are_apart(a, b) for a, b in itertools.combinations(lines, 2))
    require(apart, "two directions cannot be told apart")
    return sum(_sizes(squares[line.chart], line, particle.depth, reach) for line in lines)


def _forms(particle: Particle, Pi: arb_mat) -> list[dict[tuple[int, ...], arb]]:
    """`kappa_{0:3}(Pi a)`: coefficients, as sums of products of one matrix for each layer."""
    parts = [cut(particle, list(axis)) for axis in zip(*Pi.tolist(), strict=True)]
    forms: list[dict[tuple[int, ...], arb]] = [{} for _ in range(QUESTION)]
    for choice in itertools.product(range(3), repeat=particle.depth):
        product = parts[choice[-1]][-1]
        for layer in range(particle.depth - 2, -1, -1):
            product = product * parts[choice[layer]][layer]
        exponents = tuple(choice.count(k) for k in range(3))
        for form, c in zip(forms, product.entries()[:QUESTION], strict=True):
            form[exponents] = form.get(exponents, arb(0)) + c
    return forms


def _square(forms: list[dict[tuple[int, ...], arb]], chart: int) -> Square:
    u, v = (k for k in range(3) if k != chart)
    size = sum(next(iter(forms[0]))) + 2
    zeroth, lead, *both = (_table(forms[k], u, v, size) for k in (0, 1 + chart, 1 + u, 1 + v))
    by_u = [
        [both[0][m][n] - (lead[m - 1][n] if m else 0) for n in range(size)] for m in range(size)
    ]
    by_v = [
        [both[1][m][n] - (lead[m][n - 1] if n else 0) for n in range(size)] for m in range(size)
    ]
    values = [by_u, by_v, zeroth, lead]
    return Square(chart, values, [_slopes(table) for table in values])


def _table(form: dict[tuple[int, ...], arb], u: int, v: int, size: int) -> Table:
    table = [[arb(0)] * size for _ in range(size)]
    for exponents, c in form.items():
        table[exponents[u]][exponents[v]] = c
    return table


def _slopes(table: Table) -> tuple[Table, Table]:
    along_u = [[m * c for c in row] for m, row in enumerate(table)][1:]
    return along_u, [[n * c for n, c in enumerate(row)][1:] for row in table]


def _at(table: Table, point: Vector) -> arb:
    """Horner's rule in both variables."""
    u, v = point
    total = arb(0)
    for row in reversed(table):
        inner = arb(0)
        for c in reversed(row):
            inner = inner * v + c
        total = total * u + inner
    return total


def _line(square: Square, hint: Vector) -> Line:
    """The direction near a hint, and a cube around it without another."""

    def value(point: Vector) -> Vector:
        return [_at(table, point) for table in square.values[:2]]

    def jacobian(point: Vector) -> arb_mat:
        return arb_mat([[_at(along, point) for along in pair] for pair in square.slopes[:2]])

    box = enclose_zero(value, jacobian, hint)
    middle = [x.mid() for x in box]
    A, size = invert(jacobian(middle)), _FIRST
    for _ in range(_TRIALS):
        reach = [arb(size)] * 2
        covers = all(abs(x - m) < size for x, m in zip(box, middle, strict=True))
        Z = contraction(A, jacobian(around(middle, reach)))
        if covers and has_one_zero(Z, [arb(0)] * 2, reach):
            return Line(square.chart, box, middle, size)
        size *= 0.5
    raise NotProved("a direction is not certainly alone")


def _search(square: Square, depth: int, reach: arb, lines: list[Line], left: int) -> int:
    """Prove that the square has no other direction of sizes within reach; what is left to spend."""
    stack = [[arb(0, 1), arb(0, 1)]]
    while stack:
        left -= 1
        if left < 0:
            raise TooMuchWork("the search for other directions takes more boxes than are allowed")
        box = stack.pop()
        known = any(
            all(abs(x - m) <= line.alone for x, m in zip(box, line.middle, strict=True))
            for line in lines
        )
        if known or _is_excluded(square, depth, reach, box):
            continue
        widths = [x.rad() for x in box]
        k = 0 if widths[0] > widths[1] else 1
        require(bool(widths[k] > _NARROWEST), "a direction that is not named cannot be excluded")
        low, high = box[k].lower(), box[k].upper()
        middle = (low + (high - low) * _CUT).mid()
        for part in (low.union(middle), middle.union(high)):
            stack.append([part, box[1]] if k == 0 else [box[0], part])
    return left


def _is_excluded(square: Square, depth: int, reach: arb, box: Vector) -> bool:
    """No common zero of the equations, or of combinations of them, or all sizes beyond reach."""
    middle = [x.mid() for x in box]
    off = [x - m for x, m in zip(box, middle, strict=True)]
    at = [_at(table, middle) for table in square.values]
    slopes = [[_at(along, box) for along in pair] for pair in square.slopes]
    (a, b), (c, d) = ([s.mid() for s in pair] for pair in slopes[:2])
    for p, q in ((arb(1), arb(0)), (arb(0), arb(1)), (d, -b), (-c, a)):
        along = [p * x + q * y for x, y in zip(slopes[0], slopes[1], strict=True)]
        whole = p * at[0] + q * at[1] + along[0] * off[0] + along[1] * off[1]
        if whole > 0 or whole < 0:
            return True
    sizes = [abs(at[k] + slopes[k][0] * off[0] + slopes[k][1] * off[1]) for k in (2, 3)]
    return bool((sizes[0] * reach + sizes[1]) * reach ** (depth - 1) < 1)


def _is_same(line: Line, other: Line) -> bool:
    """Whether they are certainly one: the first lies where the other is alone."""
    b = line.vector
    lead = b[other.chart]
    if not (lead > 0 or lead < 0):
        return False
    there = [b[k] / lead for k in range(3) if k != other.chart]
    return all(abs(x - m) <= other.alone for x, m in zip(there, other.middle, strict=True))


def _are_apart(line: Line, other: Line) -> bool:
    """Whether their entries are certainly not in proportion."""
    b, c = line.vector, other.vector
    differences = (b[i] * c[j] - b[j] * c[i] for i, j in ((0, 1), (0, 2), (1, 2)))
    return any(d > 0 or d < 0 for d in differences)


def _sizes(square: Square, line: Line, depth: int, reach: arb) -> int:
    """How many real roots `t^L - k_i t - k_0` has with `|t| >= max |b_i| / reach`."""
    zeroth, lead = (_at(table, line.box) for table in square.values[2:])
    sizes = [abs(x) for x in line.vector]
    least = sizes[0].max(sizes[1]).max(sizes[2]) / reach
    bound = (1 + abs(zeroth) + abs(lead)).upper()
    # Plain bisection: for every t the polynomial is not 0, or monotone around it.
    count, stack = 0, [(-bound).union(bound)]
    for _ in range(_MOST_STEPS):
        if not stack:
            return count
        t = stack.pop()
        value = _power(t, depth) - lead * t - zeroth
        if value > 0 or value < 0 or abs(t) < least:
            continue
        slope = depth * _power(t, depth - 1) - lead
        low, high = t.lower(), t.upper()
        beyond = abs(t) >= least
        if beyond and (slope > 0 or slope < 0):
            ends = [_power(e, depth) - lead * e - zeroth for e in (low, high)]
            if all(e > 0 or e < 0 for e in ends):
                count += int((ends[0] > 0) != (ends[1] > 0))
                continue
        require(bool(t.rad() > _NARROWEST * bound), "the sizes along a direction are not certain")
        cut_at = (low + (high - low) * _CUT).mid()
        stack += [low.union(cut_at), cut_at.union(high)]
    raise NotProved("the sizes along a direction are not certain")


def _power(x: arb, exponent: int) -> arb:
    """Products: powers of balls around 0 are NaN in python-flint."""
    result = arb(1)
    for _ in range(exponent):
        result = result * x
    return result
