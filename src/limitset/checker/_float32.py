"""What float32 does to a contracting map: every step errs by at most `rounding` in the metric.

Standard model: `fl(a op b) = (a op b)(1 + d) + e`, `|d| <= 2^-24`, and numbers below 2^-126 may
count as 0, as operands and as results. A sum of k products, in any order, fused or not, errs by at
most `k u / (1 - k u)` of its magnitude.
"""

import struct
from typing import Any

from flint import arb

from limitset.checker._contraction import read_value
from limitset.checker._document import require, take, take_real
from limitset.checker._float32_implicit import prove_implicit_ball
from limitset.checker._float32_stack import prove_layers
from limitset.checker._float32_step import prove_ball
from limitset.checker._network import Network, input_count
from limitset.checker._size import EXACT, LEAST, MOST, Inputs, Rounding

_NUMBERS = "input_bound activation_error state_radius rounding gap"
_LAYERED = ("stack", "diagonal")


def prove_float32(document: dict[str, Any], network: Network) -> None:
    """Prove where runs stay, and that two approach within `gap`."""
    layered, implicit = network.rule in _LAYERED, network.rule == "implicit"
    section = take(document["float32"], float32_keys(network))
    inputs, alpha, radius, rounding, gap = map(take_real, section[:5])
    _require_stored(network)
    usable = inputs >= 0 < radius and 0 <= alpha <= 2.0**-10 and (_is_exact(network) or alpha > 0)
    require(usable, "float32: input_bound, state_radius or activation_error is not usable")
    count, single = input_count(network), Rounding(2.0**-24, 2.0**-120, 2.0**-126, alpha)
    given = Inputs([arb(inputs)] * count, [arb(0)] * count)
    factor = read_value(document, network)
    if layered:
        erred, apart = prove_layers(document, network, given, radius, single)
    elif implicit:
        numbers = (radius, rounding, take_real(section[5]))
        erred, apart = prove_implicit_ball(document, network, given, numbers, single), None
    else:
        erred, apart = prove_ball(document, network, given, radius, single, rounding), None
    require(bool(erred <= rounding), "float32: the rounding error of a step is not established")
    proved = 2 * arb(rounding) <= gap * (1 - factor)
    proved = proved or (apart is not None and bool(apart <= gap))
    require(bool(proved), "float32: the gap is not established")


def float32_keys(network: Network) -> str:
    """The fields of the section: radii where layers have them, residuals where a solver runs."""
    if network.rule in _LAYERED:
        return f"{_NUMBERS} radii"
    return f"{_NUMBERS} residual" if network.rule == "implicit" else _NUMBERS


def _require_stored(network: Network) -> None:
    """Float32 holds all numbers that a step computes with, and flushes none of them."""
    stored = {tensor.dtype for tensor in network.tensors.values()}
    require(stored == {"float32"}, "float32 is for maps of float32 tensors only")
    numbers = [v for tensor in network.tensors.values() for v in tensor.values]
    if network.rule == "implicit":  # elsewhere these are remarks, and tensors hold what runs
        constants = [c for m in network.modules for c in (m.leak, m.time_constant)]
        require(all(map(_is_single, constants)), "float32: a leak or time constant is no float32")
        numbers += constants
    ordinary = all(v == 0 or LEAST <= abs(v) <= MOST for v in numbers)
    require(ordinary, "float32: a stored number is subnormal, or enormous")


def _is_single(number: float) -> bool:
    return abs(number) <= MOST and struct.unpack("<f", struct.pack("<f", number))[0] == number


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
