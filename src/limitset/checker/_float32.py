"""What float32 does to a contracting map: every step errs by at most `rounding` in the metric.

Standard model: `fl(a op b) = (a op b)(1 + d) + e`, `|d| <= 2^-24`, and numbers below 2^-126 may
count as 0, as operands and as results. A sum of k products, in any order, fused or not, errs by at
most `k u / (1 - k u)` of its magnitude.
"""

from typing import Any

from flint import arb

from limitset.checker._contraction import read_value
from limitset.checker._document import require, take, take_real
from limitset.checker._float32_stack import prove_layers
from limitset.checker._float32_step import prove_ball
from limitset.checker._network import Network, input_count
from limitset.checker._size import EXACT, LEAST, MOST, Inputs, Rounding

_NUMBERS = "input_bound activation_error state_radius rounding gap"
_LAYERED = ("stack", "diagonal")


def prove_float32(document: dict[str, Any], network: Network) -> None:
    """Prove where runs stay, and that two approach within `gap`."""
    layered = network.rule in _LAYERED
    keys = f"{_NUMBERS} radii" if layered else _NUMBERS
    inputs, alpha, radius, rounding, gap = map(take_real, take(document["float32"], keys)[:5])
    stored = {tensor.dtype for tensor in network.tensors.values()}
    require(stored == {"float32"}, "float32 is for maps of float32 tensors only")
    numbers = (abs(v) for tensor in network.tensors.values() for v in tensor.values)
    ordinary = all(v == 0 or LEAST <= v <= MOST for v in numbers)
    require(ordinary, "float32: a stored number is subnormal, or enormous")
    usable = inputs >= 0 < radius and 0 <= alpha <= 2.0**-10 and (_is_exact(network) or alpha > 0)
    require(usable, "float32: input_bound, state_radius or activation_error is not usable")
    count, single = input_count(network), Rounding(2.0**-24, 2.0**-120, 2.0**-126, alpha)
    given = Inputs([arb(inputs)] * count, [arb(0)] * count)
    factor = read_value(document, network)
    if layered:
        erred, apart = prove_layers(document, network, given, radius, single)
    else:
        erred, apart = prove_ball(document, network, given, radius, single, rounding), None
    require(bool(erred <= rounding), "float32: the rounding error of a step is not established")
    proved = 2 * arb(rounding) <= gap * (1 - factor)
    proved = proved or (apart is not None and bool(apart <= gap))
    require(bool(proved), "float32: the gap is not established")


def _is_exact(network: Network) -> bool:
    """Whether float32 computes all activations without error; gates are sigmoids."""
    if network.family == "stack":
        layers, relays = network.parts
        return all(map(_is_exact, layers)) and all(relay.activation in EXACT for relay in relays)
    if network.family == "composite":
        return all(map(_is_exact, network.parts))
    if network.family == "layers":
        return all(module.activation in EXACT for module in network.modules)
    return network.family == "diagonal" or (network.family == "ren" and network.activation in EXACT)
