"""The theorems `row_sum` and `equilibrium`: sums of rows in a weighted maximum norm.

A row of `S J S^-1` has the absolute sum `f = |1 - t c| + t rho`, with `t = step d`, `c = -A_ii`,
`rho = sum_(j != i) |A_ij| s_i / s_j` in a residual block, and `t = step`, `c = 1 - d W_ii`,
`rho = d sum_(j != i) |W_ij| s_i / s_j` in an equilibrium block. It is convex in the slope d, so its
largest value is at an end, and `d / (1 - f)` increases in d. One norm serves all depths.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flint import arb

from limitset.checker._block_claim import BlockClaim, prove_push
from limitset.checker._blocks import Block, Layer
from limitset.checker._document import require
from limitset.checker._operator_norms import each_row
from limitset.checker._operators import Convolution, Operator, Pool, Vector


class _Row(NamedTuple):
    """`c` and `rho` of a row whose slope has one value, and `t` for a step of 1."""

    c: arb
    rho: arb
    speed: arb

    def is_at_most(self, step: arb, bound: arb) -> bool:
        """Whether `f <= bound`, for this step and all smaller ones if the bound is 1."""
        t = step * self.speed
        dominant = self.c >= self.rho and t * (self.c + self.rho) <= 2
        return bool(bound >= 1 and dominant) or bool(self.sum(step) <= bound)

    def sum(self, step: arb) -> arb:
        """`f`."""
        t = step * self.speed
        return abs(1 - t * self.c) + t * self.rho


def prove_rows(block: Block, claim: BlockClaim, scale: Vector) -> None:
    """Prove the claim in the maximum norm with this scale, or raise `NotProved`."""
    least, largest = (min(scale, key=float), max(scale, key=float))
    lengths = sum((1 / s**2 for s in scale), arb(0)).sqrt()
    require(claim.root_push is None, "row sums bound no push by roots of the depth")
    transients = {"euclidean": largest * lengths, "maximum": largest / least}
    for name, (_, _, transient) in claim.norms.items():
        fits = transient is None or transient >= transients[name]
        require(bool(fits), f"the {name} transient is not established")
    for layer in block.layers:
        repeat = _repeat(layer.operator, scale)
        rests = [arb("inf")] * (len(scale) // repeat)
        for i, low, high in _rows(block, layer, scale, repeat):
            _prove_row(block, layer, claim, low, high)
            rests[i // repeat] = rests[i // repeat].min(1 - high.sum(layer.step))
        _prove_gains(block, layer, claim, scale, (rests, repeat), (least, lengths))
        prove_push(block, layer, claim)


def _rows(
    block: Block, layer: Layer, scale: Vector, repeat: int
) -> Iterator[tuple[int, _Row, _Row]]:
    """Number of a row, and its terms at both ends of the slopes."""
    residual = block.kind != "equilibrium_block"
    for i, row in each_row(layer.operator, repeat > 1):
        own = row.pop(i, arb(0))
        rho = sum((abs(x) * scale[i] / scale[j] for j, x in row.items()), arb(0))
        ends = (arb(block.low), arb(block.high))
        if residual:
            low, high = (_Row(-own, rho, d) for d in ends)
        else:
            low, high = (_Row(1 - d * own, d * rho, arb(1)) for d in ends)
        yield i, low, high


def _prove_row(block: Block, layer: Layer, claim: BlockClaim, low: _Row, high: _Row) -> None:
    for end in (low, high):
        still = end.speed == 0 and claim.factor >= 1
        proved = still or end.is_at_most(layer.step, claim.factor)
        require(bool(proved), "the sum of a row exceeds the factor")
    if claim.step_limit is not None:
        # Between the ends and for smaller steps f is at most 1 by convexity.
        ends = (high,) if block.kind != "equilibrium_block" else (low, high)
        within = all(
            end.c >= end.rho and claim.step_limit * end.speed * (end.c + end.rho) <= 2
            for end in ends
        )
        require(within, "the step limit is not established")


def _prove_gains(
    block: Block,
    layer: Layer,
    claim: BlockClaim,
    scale: Vector,
    forgetting: tuple[Vector, int],
    sizes: tuple[arb, arb],
) -> None:
    """`s_i |B_i| high step <= E (1 - f_i)`, with `E` what the claimed gain leaves in the norm."""
    if layer.entering is None:
        return
    (rests, repeat), (least, lengths), faster = forgetting, sizes, layer.step * block.high
    gains = {name: gain for name, (gain, _, _) in claim.norms.items() if gain is not None}
    limits = {"maximum": least, "euclidean": 1 / lengths}
    for i, absolute, euclidean in _entering_rows(layer.entering, repeat):
        for name, size in (("maximum", absolute), ("euclidean", euclidean)):
            if name in gains:
                room = gains[name] * limits[name] * rests[i // repeat]
                proved = rests[i // repeat] > 0 and scale[i] * size * faster <= room
                require(bool(proved), f"the {name} gain is not established")


def _entering_rows(operator: Operator, repeat: int) -> Iterator[tuple[int, arb, arb]]:
    """For every row, or one of each group of `repeat`: its sum of `|entry|`, and its 2-norm."""
    if isinstance(operator, Pool):
        size = 1 / arb(operator.window)
        yield from ((i, arb(1), size) for i in range(operator.outputs))
        return
    pixels = 0
    if isinstance(operator, Convolution):
        pixels = len(operator.rows[0]) * len(operator.columns[0])
    for i, row in each_row(operator, pixels == repeat > 1):
        entries = row.values()
        squares = sum((x * x for x in entries), arb(0))
        yield i, sum(map(abs, entries), arb(0)), squares.sqrt()


def _repeat(operator: Operator, scale: Vector) -> int:
    """How many states have rows that are alike: the pixels of a channel, where the scale is one."""
    if not isinstance(operator, Convolution) or operator.stride > 1:
        return 1
    outputs, inputs = operator.shape[:2]
    pixels = operator.height * operator.width
    alike = all(scale[i] == scale[i - i % pixels] for i in range(len(scale)))
    return pixels if outputs == inputs and alike else 1
