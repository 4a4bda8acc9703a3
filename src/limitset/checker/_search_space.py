"""Where all equilibria are searched: the arguments of the units, or the range of the weights.

Every equilibrium `x` is among the states of some zero `z` of a system; the converse is not claimed.

    Hopfield, `leak x = W phi(x) + b`: `z = x`.
    Firing rate, `leak x = phi(W x + b)`: `z = W x + b`, so `leak z = W phi(z) + leak b` and
    `x = phi(z) / leak`.

With factors, `W = U V^T + E`, and `E` in a ball around the bias, as `|phi| <= 1`:

    Hopfield: `z = V^T phi(x)`, `x = (U z + b + E phi(x)) / leak`;
    firing rate: `z = V^T x`, `leak x = phi(U z + b + E x)` and `|x| <= 1 / leak`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require, take, take_tensor
from limitset.checker._field import Field, Vector, times
from limitset.checker._relaxation import System, relax_tanh


class SearchSpace(NamedTuple):
    """The system, a box of states for a box of its unknowns, and the reverse."""

    system: System
    states: Callable[[Vector], Vector]
    unknowns: Callable[[Vector], Vector]


def search_space(field: Field, witness: Any) -> SearchSpace:
    """The space for the factors of the certificate, or without any for `null`."""
    n, leak = len(field.bias), field.leak
    nothing = [arb(0)] * n
    if witness is None:
        identity = arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])
        if field.form == "hopfield":
            system = _as_tanh(field, leak, field.weight, identity, nothing, field.bias)
            return SearchSpace(system, list, list)
        drive = [leak * b for b in field.bias]
        system = _as_tanh(field, leak, field.weight, identity, nothing, drive)
        return SearchSpace(
            system,
            lambda z: [_activation(field, y) / leak for y in z],
            lambda x: _sum(times(field.weight, x), field.bias),
        )
    U, V = _factors(witness, n)
    missed = [sum(map(abs, row), arb(0)) for row in (field.weight - U * V).tolist()]
    is_firing = field.form == "firing_rate"
    if is_firing:
        missed = [m / leak for m in missed]
    c = [b + arb(0, m.abs_upper()) for b, m in zip(field.bias, missed, strict=True)]

    def driven(z: Vector) -> Vector:
        return _sum(times(U, z), c)

    none = [arb(0)] * V.nrows()
    if is_firing:
        system = _as_tanh(field, leak, V, U, c, none)
        return SearchSpace(
            system,
            lambda z: [_activation(field, y) / leak for y in driven(z)],
            lambda x: times(V, x),
        )
    system = _as_tanh(field, arb(1), V, U / leak, [b / leak for b in c], none)
    return SearchSpace(
        system,
        lambda z: [x / leak for x in driven(z)],
        lambda x: times(V, [_activation(field, entry) for entry in x]),
    )


def _factors(witness: Any, n: int) -> tuple[arb_mat, arb_mat]:
    left, right = (take_tensor(entry) for entry in take(witness, "left right"))
    rank = left.shape[-1] if left.shape else 0
    fits = left.shape == (n, rank) and right.shape == (rank, n) and 0 < rank <= n
    require(fits, "the factors do not fit the network")
    return arb_mat(n, rank, left.values), arb_mat(rank, n, right.values)


def _activation(field: Field, y: arb) -> arb:
    value = relax_tanh(y if field.activation == "tanh" else y / 2)[2]
    return value if field.activation == "tanh" else (1 + value) / 2


def _as_tanh(field: Field, leak: arb, A: arb_mat, C: arb_mat, c: Vector, d: Vector) -> System:
    """`leak z = A phi(C z + c) + d`; `sigmoid(y) = 1/2 + tanh(y/2) / 2`."""
    if field.activation == "tanh":
        return System(leak, A, C, c, d)
    half = A / 2
    middle = _sum(times(half, [arb(1)] * len(c)), d)
    return System(leak, half, C / 2, [e / 2 for e in c], middle)


def _sum(u: Vector, v: Vector) -> Vector:
    return [a + b for a, b in zip(u, v, strict=True)]
