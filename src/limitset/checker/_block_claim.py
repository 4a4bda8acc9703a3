"""What a certificate says of one block, read strictly, and what all theorems prove alike."""

from functools import reduce
from typing import Any, NamedTuple

from flint import arb

from limitset.checker._blocks import Block, Layer
from limitset.checker._document import require, take, take_real
from limitset.checker._operator_norms import each_row, norm_at_most
from limitset.checker._operators import Convolution, Operator, Pool

BLOCK = "factor step_limit euclidean maximum root_push"
Norms = dict[str, tuple[arb | None, arb | None, arb | None]]


class BlockClaim(NamedTuple):
    """Every number is a bound; `None` claims nothing. `norms`: gain, push and transient of both."""

    factor: arb
    step_limit: arb | None
    norms: Norms
    root_push: arb | None


def read_claim(value: Any) -> BlockClaim:
    """The claim, with a factor in [0, 1] and nothing negative."""
    factor, limit, euclidean, maximum, rooted = take(value, BLOCK)
    norms: Norms = {}
    for name, entry in (("euclidean", euclidean), ("maximum", maximum)):
        gain, push, transient = map(_optional, take(entry, "gain push transient"))
        norms[name] = gain, push, transient
    claim = BlockClaim(arb(take_real(factor)), _optional(limit), norms, _optional(rooted))
    require(bool(claim.factor >= 0 and claim.factor <= 1), "the factor is not in [0, 1]")
    return claim


def _optional(value: Any) -> arb | None:
    if value is None:
        return None
    number = take_real(value)
    require(number >= 0, "a bound is negative")
    return arb(number)


def prove_push(block: Block, layer: Layer, claim: BlockClaim) -> None:
    """One step moves the state by at most `step high |B|` of what enters."""
    if layer.entering is None:
        return
    faster = layer.step * block.high
    euclidean, maximum = (claim.norms[name][1] for name in ("euclidean", "maximum"))
    if euclidean is not None:
        proved = norm_at_most(layer.entering, euclidean / faster)
        require(proved, "the euclidean push is not established")
    if maximum is not None:
        proved = maximum_norm(layer.entering) * faster <= maximum
        require(bool(proved), "the maximum push is not established")


def maximum_norm(operator: Operator) -> arb:
    """The largest sum of `|entry|` of a row."""
    if isinstance(operator, Pool):
        return arb(1)
    rows = each_row(operator, isinstance(operator, Convolution))
    return reduce(arb.max, (sum(map(abs, row.values()), arb(0)) for _, row in rows))
