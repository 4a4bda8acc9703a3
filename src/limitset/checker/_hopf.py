"""The statement `hopf`: one Hopf point of a family, its first Lyapunov coefficient, its cycles.

Conventions: `omega > 0`, `|q|_2 = 1`, `<p, q> = conj(p)^T q = 1`, derivatives without factorials,
eigenvalues over the complex numbers with multiplicity.
"""

from collections.abc import Sequence
from typing import Any

from flint import acb, acb_mat, arb, arb_mat

from limitset.checker._document import require, take, take_real
from limitset.checker._eigenvalues import real_part, sides
from limitset.checker._equilibrium import read_vector
from limitset.checker._family import Family, read_family
from limitset.checker._field import Jet, Vector, times
from limitset.checker._krawczyk import column, enclose_zero, solve
from limitset.checker._network import Network

CLAIM = (
    "parameter frequency center radius crossing lyapunov_coefficient unstable cycles stable "
    "weight_radius"
)


def prove_hopf(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "hopf", "the theorem is unknown")
    family = read_family(document, network)
    require(family.still == 0, "Hopf points are of flows")
    n = family.size
    candidate, phi = take(document["witness"], "candidate phi")
    start, fixing = read_vector(candidate, 3 * n + 2), read_vector(phi, n)
    system = Augmented(family, fixing)
    a, omega, *rest = enclose_zero(system.value, system.jacobian, start)
    require(omega > 0, "the frequency is not certainly positive")
    x, v1, v2 = rest[:n], rest[n : 2 * n], rest[2 * n :]
    jet = family.at(x, a)
    J = jet.jacobian()
    unstable, _ = sides(J, real_part, 2)  # +-i omega are eigenvalues: these two
    q, left = _critical_vectors(J, omega, [acb(r, i) for r, i in zip(v1, v2, strict=True)])
    crossing = _crossing(family, jet, J, q, left)
    coefficient = _lyapunov_coefficient(jet, J, omega, q, left)
    require(crossing > 0 or crossing < 0, "the sign of the crossing is not established")
    intervals = take(document["claim"], CLAIM)
    center, radius = (read_vector(vector, n) for vector in intervals[2:4])
    inside = all(abs(e - c) <= r for e, c, r in zip(x, center, radius, strict=True))
    require(inside, "the claimed box of the state does not hold it")
    for name, ball in (("parameter", a), ("frequency", omega), ("crossing", crossing)):
        compare(document["claim"][name], ball, name)
    compare_cycles(document["claim"], coefficient, unstable, crossing)


def compare(interval: Any, ball: arb, name: str) -> None:
    """Require that the claimed interval holds the ball."""
    low, high = (take_real(end) for end in _pair(interval))
    require(low <= ball and ball <= high, f"the claimed interval of {name} is not established")


def compare_cycles(claim: dict[str, Any], coefficient: arb, unstable: int, crossing: arb) -> None:
    """Require the coefficient, and what follows: on which side cycles are, and if they attract."""
    compare(claim["lyapunov_coefficient"], coefficient, "lyapunov_coefficient")
    certain = coefficient > 0 or coefficient < 0
    require(certain, "the sign of the first Lyapunov coefficient is not established")
    above = bool(coefficient < 0) == bool(crossing > 0)
    require(claim["cycles"] == ("above" if above else "below"), "the cycles are on the other side")
    counted = type(claim["unstable"]) is int and claim["unstable"] == unstable
    require(counted, "the number of unstable eigenvalues is not established")
    stable = bool(coefficient < 0) and unstable == 0
    require(claim["stable"] is stable, "the stability of the cycles is not established")


def _pair(value: Any) -> list[Any]:
    require(isinstance(value, list) and len(value) == 2, "an interval needs two ends")
    return value


class Augmented:
    """`phi.v1`, `phi.v2 - 1`, `f`, `J v1 + omega v2`, `J v2 - omega v1` of `(a, omega, x, v1, v2)`.

    A zero at which the derivative is regular has `J v = i omega v` for `v = v1 + i v2`, with
    `i omega` simple.
    """

    def __init__(self, family: Family, phi: Sequence[arb]) -> None:
        self.family, self.phi, self.size = family, list(phi), len(phi)

    def _expand(self, z: Vector) -> tuple[Jet, arb, Vector, Vector]:
        n = self.size
        return self.family.at(z[2 : n + 2], z[0]), z[1], z[n + 2 : 2 * n + 2], z[2 * n + 2 :]

    def value(self, z: Vector) -> Vector:
        """The left sides of the equations."""
        jet, omega, v1, v2 = self._expand(z)
        J, fixing = jet.jacobian(), arb_mat(1, self.size, self.phi)
        first, second = ((fixing * column(v))[0, 0] for v in (v1, v2))
        upper = [j + omega * v for j, v in zip(times(J, v1), v2, strict=True)]
        lower = [j - omega * v for j, v in zip(times(J, v2), v1, strict=True)]
        return [first, second - 1, *jet.value(), *upper, *lower]

    def jacobian(self, z: Vector) -> arb_mat:
        """The derivative; its columns are along `a`, `omega`, `x`, `v1`, `v2`."""
        jet, omega, v1, v2 = self._expand(z)
        n, zero, J = self.size, arb(0), jet.jacobian().tolist()
        none = [zero] * n
        rows = [[zero] * 2 + none + self.phi + none, [zero] * 2 + none + none + self.phi]
        rows += [
            [d, zero, *row, *none, *none] for d, row in zip(self.family.slope(jet), J, strict=True)
        ]
        for own, other, sign in ((v1, v2, 1), (v2, v1, -1)):
            along, bent = self.family.tilt(jet, own), jet.bend(own).tolist()
            for i in range(n):
                turn = list(none)
                turn[i] = sign * omega
                pair = [*J[i], *turn] if sign == 1 else [*turn, *J[i]]
                rows.append([along[i], sign * other[i], *bent[i], *pair])
        return arb_mat(rows)


def _critical_vectors(J: arb_mat, omega: arb, v: Vector) -> tuple[Vector, Vector]:
    """`q = v / |v|`, and `r = conj(p)` from `(J^T - i omega) r + conj(q) s = 0`, `q.r = 1`."""
    n = len(v)
    length = squared_length(v).sqrt()
    q = [entry / length for entry in v]
    rows = acb_mat(J.transpose()).tolist()
    for i, row in enumerate(rows):
        row[i] -= acb(0, omega)
        row.append(q[i].conjugate())
    bordered = acb_mat([*rows, [*q, acb(0)]])
    right = acb_mat(n + 1, 1, [0] * n + [1])
    return q, solve(bordered, right).entries()[:n]


def _crossing(family: Family, jet: Jet, J: arb_mat, q: Vector, left: Vector) -> arb:
    """`Re p^H (f_xa q + B(q, x'))` with `x' = -J^-1 f_a`: the speed of the eigenvalue."""
    moved = [-entry for entry in solve(J, column(family.slope(jet))).entries()]
    change = [t + b for t, b in zip(family.tilt(jet, q), jet.second(q, moved), strict=True)]
    return _dot(left, change).real


def _lyapunov_coefficient(jet: Jet, J: arb_mat, omega: arb, q: Vector, left: Vector) -> arb:
    """`Re p^H [C(q,q,Q) - 2 B(q, J^-1 B(q,Q)) + B(Q, (2 i omega - J)^-1 B(q,q))] / (2 omega)`,
    `Q = conj(q)`."""
    n, Q = len(q), [entry.conjugate() for entry in q]
    mean = column([entry.real for entry in jet.second(q, Q)])  # B(q, Q) is real
    shifted = acb_mat(-J)
    for i in range(n):
        shifted[i, i] += acb(0, 2 * omega)
    double = solve(shifted, acb_mat(n, 1, jet.second(q, q))).entries()
    steady = jet.second(q, solve(J, mean).entries())
    terms = zip(jet.third(q, q, Q), steady, jet.second(Q, double), strict=True)
    return _dot(left, [c - 2 * s + d for c, s, d in terms]).real / (2 * omega)


def squared_length(v: Vector) -> arb:
    """`|v|_2^2`. Powers of balls around 0 are NaN in python-flint, products are not."""
    return sum((e.real * e.real + e.imag * e.imag for e in v), arb(0))


def _dot(left: Vector, right: Vector) -> acb:
    return (acb_mat(1, len(left), left) * acb_mat(len(right), 1, right))[0, 0]
