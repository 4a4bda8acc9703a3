"""One float32 step of a recurrent equilibrium network, bounded entry by entry.

With multipliers Q and incremental slopes in [0, g], the triangular layer obeys `dw^T H dw / 2 <=
g dw^T Q moved`, `H = 2 Q - g (Q D11 + D11^T Q)`, if its arguments are moved. So errors do not grow
from unit to unit as the magnitudes of weights would let them.
"""

from collections.abc import Callable
from typing import Any

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._contraction import read_value
from limitset.checker._document import NotProved, Tensor, require, take, take_tensor
from limitset.checker._network import ACTIVATIONS, Network
from limitset.checker._sector import diagonal
from limitset.checker._size import (
    ALL,
    Gauge,
    Inputs,
    Reach,
    Rounding,
    error_of,
    length_of,
    lost,
    require_finite,
    root,
    share_lost,
)

Bounds = tuple[list[arb], list[arb]]
Moved = Callable[[list[arb]], list[arb]]
# How much larger than in exact numbers values may be in float32; and where they are all 0.
_ROOM, _FLOOR, _TRIED = 1.1, 2.0**-80, 40
_EXACTLY = Rounding(0.0, 0.0, 0.0, 0.0)


def ren_step(
    document: dict[str, Any],
    network: Network,
    gauge: Gauge,
    inputs: Inputs,
    radius: arb,
    r: Rounding,
) -> Reach:
    """From the ball."""
    multipliers = take_tensor(take(document["witness"], "multipliers")[0]).values
    moved = _sensitivity(network, list(map(arb, multipliers)))
    states = [reach * radius for reach in gauge.reach]
    _, wrong = _step(network, moved, states, inputs, r)
    still = Inputs(inputs.entries, [arb(0)] * len(inputs.error))
    at_zero, _ = _step(network, moved, [arb(0)] * len(states), still, _EXACTLY)
    pushed = length_of(gauge, ALL, at_zero)
    reached = read_value(document, network) * radius + pushed
    return Reach(length_of(gauge, ALL, wrong), reached, pushed)


def _sensitivity(network: Network, q: list[arb]) -> Moved:
    """How far values move, from how far arguments do: `|dw|_Q <= (2 g / least) |dv|_Q`."""
    steepest, k = arb(ACTIVATIONS[network.activation][1]), len(q)
    D = arb_mat(k, k, network.tensors["D11"].values)
    product = diagonal(q) * D * steepest
    product += product.transpose()
    candidates = (2.0**-power * first for power in range(_TRIED) for first in (2.0, 1.5))
    for least in candidates:
        if is_positive_definite(diagonal([x * (2 - least) for x in q]) - product):
            break
    else:
        raise NotProved("float32: no bound is found of what the units do to one another")
    roots = [x.sqrt() for x in q]

    def moved(arguments: list[arb]) -> list[arb]:
        scaled = [s * x for s, x in zip(roots, arguments, strict=True)]
        norm = root(sum((x * x for x in scaled), arb(0))) * 2 * steepest / least
        return [norm / s for s in roots]

    return moved


def _step(network: Network, moved: Moved, states: list[arb], inputs: Inputs, r: Rounding) -> Bounds:
    """The next state and its error."""
    tensors = network.tensors
    A, B1, B2 = (_rows(tensors[name]) for name in ("A", "B1", "B2"))
    response, slips = _respond(network, moved, states, inputs, r)
    values, errors, terms = [], [], len(states) + len(response) + len(inputs.entries) + 4
    entering = sum(states + inputs.entries + response + slips, arb(0))
    for a, b, c, bias in zip(A, B1, B2, tensors["bx"].values, strict=True):
        value = _dot(a, states) + _dot(b, response) + _dot(c, inputs.entries) + abs(arb(bias))
        carried = _dot(b, slips) + _dot(c, inputs.error)
        flushed = lost(terms, sum(a + b + c, entering), r)
        values.append(value)
        errors.append(carried + (value + carried) * share_lost(terms, r) + flushed)
    require_finite([v + e for v, e in zip(values, errors, strict=True)])
    return values, errors


def _respond(
    network: Network, moved: Moved, states: list[arb], inputs: Inputs, r: Rounding
) -> Bounds:
    """The units' values and errors; a bound of the values is assumed, and follows from itself."""
    tensors, wrong, arguments, slips = network.tensors, [], [], []
    C, D11, D12 = (_rows(tensors[name]) for name in ("C1", "D11", "D12"))
    _, _, supremum, at_zero = ACTIVATIONS[network.activation]
    terms, flat = len(states) + len(C) + len(inputs.entries) + 4, [arb(at_zero)] * len(C)
    entering = [
        _dot(c, states) + _dot(e, inputs.entries) + abs(arb(bias))
        for c, e, bias in zip(C, D12, tensors["bv"].values, strict=True)
    ]
    # Away from all values phi(0), which solve the layer for other arguments.
    resting = [x + _dot(d, flat) for x, d in zip(entering, D11, strict=True)]
    assumed = [(x * _ROOM + at_zero + _FLOOR).min(arb(supremum)) for x in moved(resting)]
    alpha = error_of(network.activation, r)
    wrong = [x * alpha + r.underflow for x in assumed]
    computed = [x + w for x, w in zip(assumed, wrong, strict=True)]
    total = sum(states + inputs.entries + computed, arb(0))
    for x, c, d, e in zip(entering, C, D11, D12, strict=True):
        argument = x + _dot(d, computed)
        flushed = lost(terms, sum(c + d + e, total), r)
        slip = _dot(e, inputs.error) + argument * share_lost(terms, r) + flushed
        slips.append(slip + _dot(d, wrong))
        arguments.append(argument + slips[-1])
    require_finite(arguments + computed)
    reached = moved([x + s for x, s in zip(resting, slips, strict=True)])
    fits = all(
        (x + at_zero).min(arb(supremum)) <= most for x, most in zip(reached, assumed, strict=True)
    )
    require(fits, "float32: the values of the units are not bounded")
    return computed, [x + w for x, w in zip(moved(slips), wrong, strict=True)]


def _rows(tensor: Tensor) -> list[list[arb]]:
    """Magnitudes, row by row."""
    rows, columns = tensor.shape
    sizes = [abs(arb(x)) for x in tensor.values]
    return [sizes[i * columns : (i + 1) * columns] for i in range(rows)]


def _dot(row: list[arb], vector: list[arb]) -> arb:
    return sum((a * b for a, b in zip(row, vector, strict=True)), arb(0))
