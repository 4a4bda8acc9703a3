"""The sector theorem: `A + B D C` with slopes in `[0, g]` contracts, by multipliers.

With `y = D C v`, `q_i y_i (g_i (C v)_i - y_i) >= 0`. If a matrix of `(v, y)` that holds these terms
beside the decay of `v^T P v` is negative definite, the decay is at least as claimed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._contraction import read_form, read_value
from limitset.checker._document import require, take, take_tensor
from limitset.checker._network import ACTIVATIONS, Network

_MOST = 512
Matrix = list[list[arb]]


class Lure(NamedTuple):
    """`A`, and for every slope that varies a column of `B`, a row of `C` and its span."""

    A: arb_mat
    B: arb_mat
    C: arb_mat
    span: list[arb]


def prove_sector(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    is_flow, value = network.rule == "flow", read_value(document, network)
    require(value > 0 if is_flow else value >= 0 and value < 1, "no rate > 0, no factor in [0, 1)")
    require(len(network.keep) <= _MOST, f"sector is checked for at most {_MOST} units")
    P, lure = read_form(document, network), make_lure(network)
    dtype, shape, _, values = take_tensor(take(document["witness"], "multipliers")[0])
    fits = (dtype, shape) == ("float64", (len(lure.span),))
    require(fits and min(values, default=1.0) > 0, "the multipliers do not fit the network")
    q = list(map(arb, values))
    PB, n, m = P * lure.B, len(network.keep), len(q)
    across = lure.C.transpose() * diagonal([a * g for a, g in zip(q, lure.span, strict=True)])
    if is_flow:
        half = P * lure.A
        corner, rest = half + half.transpose() + P * (2 * value), arb_mat(m, m)
        across += PB
    else:
        left = lure.A.transpose()
        corner, rest = left * P * lure.A - P * (value * value), lure.B.transpose() * PB
        across += left * PB
    rest -= diagonal([2 * a for a in q])
    whole = arb_mat(n + m, n + m)
    for block, row, column in ((corner, 0, 0), (across, 0, n), (rest, n, n)):
        for i, entries in enumerate(block.tolist()):
            for j, entry in enumerate(entries):
                whole[row + i, column + j] = -entry
                whole[column + j, row + i] = -entry
    require(is_positive_definite(whole), "the inequality of the sector is not established")


def diagonal(entries: Sequence[arb | float]) -> arb_mat:
    """The diagonal matrix of the entries."""
    matrix = arb_mat(len(entries), len(entries))
    for i, entry in enumerate(entries):
        matrix[i, i] = entry
    return matrix


def make_lure(network: Network) -> Lure:
    """All Jacobians, from the slopes of the activations and the matrices that run."""
    n = len(network.keep)
    lowered, before, after = ([[arb(0)] * n for _ in range(n)] for _ in range(3))
    span = [arb(0)] * n
    for module in network.modules:
        k, start, firing = module.weight.shape[0], module.units.start, module.form == "firing_rate"
        lo, hi, _, _ = ACTIVATIONS[module.activation]
        for i in range(k):
            row = list(map(arb, module.weight.values[i * k : (i + 1) * k]))
            unit = [arb(i == j) for j in range(k)]
            # `W D` has the weights behind the slopes, `D W` before them.
            before[start + i][module.units] = unit if firing else row
            after[start + i][module.units] = row if firing else unit
            lowered[start + i][module.units] = [lo * w for w in row]
            span[start + i] = arb(hi) - lo
    linear, response = _around(network)
    moving = [i for i in range(n) if not span[i] == 0]
    shown = _applied(network, response, before)
    B = arb_mat([[row[j] for j in moving] for row in shown.tolist()]) if moving else arb_mat(n, 0)
    C = arb_mat([after[i] for i in moving]) if moving else arb_mat(0, n)
    A = linear + _applied(network, response, lowered)
    return Lure(A, B, C, [span[i] for i in moving])


def _applied(network: Network, response: arb_mat, rows: Matrix) -> arb_mat:
    """The product; row by row where the response is diagonal, which large networks need."""
    if network.rule not in ("flow", "unit", "explicit_euler"):
        return response * arb_mat(rows)
    scaled = [[response[i, i] * x for x in row] for i, row in enumerate(rows)]
    return arb_mat(scaled)


def _around(network: Network) -> tuple[arb_mat, arb_mat]:
    """`(a, r)` of the Jacobian `a + r W D` or `a + r D W`."""
    n = len(network.keep)
    matrices = {
        name: arb_mat(n, n, tensor.values)
        for name, tensor in network.tensors.items()
        if name in ("coupling", "propagator", "transition", "response")
    }
    keep, gain = diagonal(network.keep), diagonal(network.gain)
    if network.rule == "flow":
        modules = [m for m in network.modules for _ in range(m.weight.shape[0])]
        linear = diagonal([-arb(m.leak) / m.time_constant for m in modules])
        response = diagonal([1 / arb(m.time_constant) for m in modules])
        return linear + matrices.get("coupling", arb_mat(n, n)), response
    if network.rule == "unit":
        return keep, gain
    if network.rule == "split":
        return matrices["propagator"] * keep, matrices["propagator"] * gain
    if network.rule == "explicit_euler":
        return matrices["transition"], diagonal(network.tensors["gain"].values)
    return matrices["transition"], matrices["response"]
