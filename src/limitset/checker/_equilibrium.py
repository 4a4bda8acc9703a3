"""The statement `equilibrium`: one in a box, no other in a larger one, stability and index."""

from typing import Any

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._document import require, take, take_real, take_tensor
from limitset.checker._field import Field, expand, read_field, times
from limitset.checker._krawczyk import (
    around,
    column,
    contraction,
    has_one_zero,
    invert,
    refine,
)
from limitset.checker._network import Network

_MOST = 1024
_CLAIM = "center radius uniqueness_radius weight_radius input stability index"


def prove_equilibrium(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "krawczyk", "the theorem is unknown")
    *vectors, widest, spread, entering, stability, index = take(document["claim"], _CLAIM)
    field = wide_field(document, network, entering, take_real(spread))
    n = len(field.bias)
    center, radius = (read_vector(vector, n) for vector in vectors)
    widest = take_real(widest)
    require(
        min(radius) > 0 and widest >= 0, "a radius is negative, or that of the box is not positive"
    )

    def value(x: list[arb]) -> list[arb]:
        return expand(field, x).value()

    def jacobian(x: list[arb]) -> arb_mat:
        return expand(field, x).jacobian()

    A = invert(jacobian(center))
    box, shift = around(center, radius), (A * column(value(center))).entries()
    proved = has_one_zero(contraction(A, jacobian(box)), shift, radius)
    require(proved, "exactly one equilibrium within the radius is not established")
    if widest > 0:
        reach = [arb(widest)] * n
        covers = all(r <= widest for r in radius)
        Z = contraction(A, jacobian(around(center, reach)))
        alone = covers and has_one_zero(Z, [arb(0)] * n, reach)
        require(alone, "no other equilibrium within the uniqueness radius is not established")
    # In the box A J is regular and joined to I by regular matrices: det J has the sign of det A.
    sign = (-A).det()
    known = sign > 0 if index == 1 else sign < 0 if index == -1 else index is None
    require(type(index) in (int, type(None)) and known, "the index is not established")
    small = refine(value, jacobian, box)
    require(
        _holds(stability, document["witness"], jacobian(small)), "the stability is not established"
    )


def read_vector(value: Any, n: int) -> list[arb]:
    """A float64 vector of n entries, exactly."""
    dtype, shape, _, values = take_tensor(value)
    require((dtype, shape) == ("float64", (n,)), "a vector does not fit the network")
    return list(map(arb, values))


def wide_field(document: dict[str, Any], network: Network, entering: Any, spread: float) -> Field:
    """The field with its input, for all weights, input weights and biases within the spread."""
    require(spread >= 0, "the weight radius is negative")
    # tau moves neither equilibria nor stability nor index.
    field = read_field(network, document["network"]["config"]["kind"], _MOST)._replace(time=arb(1))
    n, ball = len(field.bias), arb(0, spread)
    inputs = network.modules[0].input_weight
    m = inputs.shape[1]
    u = read_vector(entering, m)
    weight, added = (
        arb_mat(n, k, [arb(w) + ball for w in tensor.values])
        for k, tensor in ((n, network.modules[0].weight), (m, inputs))
    )
    driven = times(added, u) if m else [arb(0)] * n
    bias = [b + ball + d for b, d in zip(field.bias, driven, strict=True)]
    return field._replace(weight=weight, bias=bias)


def _holds(stability: Any, witness: Any, J: arb_mat) -> bool:
    """Lyapunov: `P > 0` and `-(P J + J^T P) > 0` prove all eigenvalues left of the axis.

    `v^T P v < 0` and `-(P K + K^T P) > 0`, `K = J - s I`, `s >= 0`, prove one right of it.
    """
    if stability == "undecided":
        return witness is None
    n = J.nrows()
    if stability == "stable":
        P = _form(take(witness, "form")[0], n)
        return is_positive_definite(P) and _decreases(P, J)
    require(stability == "unstable", "the stability is not a known word")
    form, direction, bound = take(witness, "form direction bound")
    P, v, shift = _form(form, n), column(read_vector(direction, n)), take_real(bound)
    for i in range(n):
        J[i, i] -= shift
    return shift >= 0 and (v.transpose() * P * v)[0, 0] < 0 and _decreases(P, J)


def _decreases(P: arb_mat, K: arb_mat) -> bool:
    half = P * K
    return is_positive_definite(-(half + half.transpose()))


def _form(value: Any, n: int) -> arb_mat:
    dtype, shape, _, values = take_tensor(value)
    require((dtype, shape) == ("float64", (n, n)), "the form does not fit the network")
    P = arb_mat(n, n, values)
    require(P == P.transpose(), "the form is not symmetric")
    return P
