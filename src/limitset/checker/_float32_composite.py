"""One float32 step of parts of any kind that are mixed after their own steps.

The mixing C passes errors of the parts on with its norm; what its own products lose is bounded by
their magnitudes, row by row, with what a part's norm allows in each row.
"""

import math
from collections.abc import Callable
from typing import Any

from flint import arb, arb_mat

from limitset.checker._composition import read_wiring
from limitset.checker._contraction import read_value
from limitset.checker._document import require, take, take_tensor
from limitset.checker._network import Network
from limitset.checker._norms import Norm, gain_upper, read_norm
from limitset.checker._size import (
    Inputs,
    Reach,
    Rounding,
    lost,
    max_of,
    require_finite,
    root,
    share_lost,
)

Step = Callable[[dict[str, Any], Network, Inputs, arb, Rounding], Reach]
_MOST = 512


def composite_step(
    document: dict[str, Any],
    network: Network,
    inputs: Inputs,
    radius: arb,
    r: Rounding,
    step: Step,
) -> Reach:
    """From the ball; `step` knows the parts."""
    n, wiring = len(network.keep), read_wiring(network)
    require(n <= _MOST, f"float32 of composites is checked for at most {_MOST} states")
    kind, metrics, entry = take(document["metric"], "kind parts weights")
    weights = list(map(arb, take_tensor(entry).values))
    # What a part's norm is worth in the whole; the ball leaves the part its inverse.
    worth = weights if kind == "block_maximum" else [w.sqrt() for w in weights]
    (witnesses,) = take(document["witness"], "parts")
    found = []
    for part, metric, witness, share in zip(wiring.parts, metrics, witnesses, worth, strict=True):
        found.append(step({**witness, "metric": metric}, part, inputs, radius / share, r))
    own = [len(part.keep) for part in wiring.parts]
    norms = [read_norm(metric, size) for metric, size in zip(metrics, own, strict=True)]
    sizes = [reach.reached + reach.rounding for reach in found]
    wrong = _lost(wiring.matrix.values, norms, own, sizes, r)
    lengths, start = [], 0
    for norm, size in zip(norms, own, strict=True):
        lengths.append(_length(norm, wrong[start : (start := start + size)]))
    bound = _bound_of(document, wiring.matrix.values, norms, own, worth)
    rounding = bound([reach.rounding for reach in found]) + _joined(kind, worth, lengths)
    pushed = bound([reach.pushed for reach in found])
    return Reach(rounding, read_value(document, network) * radius + pushed, pushed)


def _lost(
    values: tuple[float, ...], norms: list[Norm], own: list[int], sizes: list[arb], r: Rounding
) -> list[arb]:
    """What the products with the mixing lose, row by row."""
    n, wrong = sum(own), []
    states = [_reach(norm, size) for norm, size in zip(norms, own, strict=True)]
    entering = sum((sum(x, arb(0)) * size for x, size in zip(states, sizes, strict=True)), arb(0))
    for i in range(n):
        row, start, magnitude = [abs(arb(x)) for x in values[i * n : (i + 1) * n]], 0, arb(0)
        for norm, reach, size in zip(norms, states, sizes, strict=True):
            piece = row[start : (start := start + len(reach))]
            magnitude += _row(norm, piece, reach) * size
        require_finite([magnitude])
        wrong.append(magnitude * share_lost(n + 1, r) + lost(n + 1, sum(row, entering), r))
    return wrong


def _bound_of(
    document: dict[str, Any],
    values: tuple[float, ...],
    norms: list[Norm],
    own: list[int],
    worth: list[arb],
) -> Callable[[list[arb]], arb]:
    """The norm of `C v` for parts of v with given norms."""
    n = sum(own)
    if document["metric"]["kind"] == "block":
        whole = read_norm(document["metric"], n)
        gain = gain_upper(whole, whole, arb_mat(n, n, values))
        return lambda given: gain * _joined("block", worth, given)
    ends = [sum(own[:k]) for k in range(len(own) + 1)]
    places = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]
    rows = [values[i * n : (i + 1) * n] for i in range(n)]
    gains = [
        [
            gain_upper(to, source, arb_mat([row[there] for row in rows[at]]))
            for source, there in zip(norms, places, strict=True)
        ]
        for to, at in zip(norms, places, strict=True)
    ]

    def bound(given: list[arb]) -> arb:
        sums = [sum((g * v for g, v in zip(row, given, strict=True)), arb(0)) for row in gains]
        return _joined("block_maximum", worth, sums)

    return bound


def _joined(kind: str, worth: list[arb], given: list[arb]) -> arb:
    """The norm of the whole from those of its parts."""
    scaled = [w * v for w, v in zip(worth, given, strict=True)]
    if kind == "block_maximum":
        return max_of([v.abs_upper() for v in scaled])
    return root(sum((v * v for v in scaled), arb(0)))


def _reach(norm: Norm, size: int) -> list[arb]:
    """Bounds of the entries of a vector whose norm is 1 at most."""
    if norm.parts:
        places = ((part, at.stop - at.start, w) for part, at, w in norm.parts)
        return [x / w for part, own, w in places for x in _reach(part, own)]
    if norm.form is not None:
        inverse = norm.form.inv()
        return [root(inverse[i, i]) for i in range(size)]
    return [1 / s for s in norm.scale or []]


def _row(norm: Norm, row: list[arb], reach: list[arb]) -> arb:
    """The most that a row of magnitudes makes of a vector whose norm is 1 at most."""
    if norm.order == 2 and norm.scale is not None:
        scaled = [x / s for x, s in zip(row, norm.scale, strict=True)]
        return root(sum((x * x for x in scaled), arb(0)))
    return sum((x * most for x, most in zip(row, reach, strict=True)), arb(0))


def _length(norm: Norm, v: list[arb]) -> arb:
    """At least the norm of all vectors with entries below those of `v`."""
    if norm.parts:
        return max_of([(w * _length(part, v[at])).abs_upper() for part, at, w in norm.parts])
    if norm.form is not None:
        n = len(v)
        sizes = arb_mat(n, n, [abs(x) for x in norm.form.entries()])
        column = arb_mat(n, 1, v)
        return root((column.transpose() * sizes * column)[0, 0])
    scaled = [s * x for s, x in zip(norm.scale or [], v, strict=True)]
    if norm.order == math.inf:
        return max_of([x.abs_upper() for x in scaled])
    return root(sum((x * x for x in scaled), arb(0))) if norm.order == 2 else sum(scaled, arb(0))
