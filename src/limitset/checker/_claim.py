"""The claim in words, its numbers rounded to the side on which the words stay true."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context
from typing import Any

from limitset.checker._document import require, take, take_list, take_real, take_tensor
from limitset.checker._network import Network

_SHOWN = 4


def describe(document: dict[str, Any], network: Network, evidence: str) -> str:
    """What the certificate claims; `evidence` says what has become of it."""
    if document["statement"] == "contraction":
        return _contraction(document, network, evidence)
    words = {"equilibrium": _equilibrium, "hopf": _hopf, "all_hopf": _all_hopf}
    return f"{words[document['statement']](document)} [{evidence}]"


def _show(text: Any, rounding: str, digits: int = 9) -> str:
    exact = take_real(text)
    decimal = Context(prec=digits, rounding=rounding).create_decimal_from_float(exact)
    if decimal == 1 != exact:  # a factor below 1 has to look like one
        decimal = Context(prec=17, rounding=rounding).create_decimal_from_float(exact)
    return f"{decimal.normalize():g}"


def _contraction(document: dict[str, Any], network: Network, evidence: str) -> str:
    if network.rule == "flow":
        rate = _show(take(document["claim"], "time rate")[1], ROUND_FLOOR)
        claim = f"contracting: rate >= {rate} per unit time, all states and inputs [{evidence}]"
    else:
        factor = _show(take(document["claim"], "time factor")[1], ROUND_CEILING)
        claim = f"contracting: factor <= {factor} per step, all states and inputs [{evidence}]"
    if document["float32"] is None:
        return claim
    keys = "gap input_bound state_radius activation_error rounding"
    gap, *limits, _ = take(document["float32"], keys)
    u, x, error = (_show(limit, ROUND_FLOOR) for limit in limits)
    where = f"in the metric, if |u| <= {u}, |x_0| <= {x}, activation error <= {error}"
    return f"{claim}; float32 runs of one input end within {_show(gap, ROUND_CEILING)} ({where})"


def _equilibrium(document: dict[str, Any]) -> str:
    keys = "center radius uniqueness_radius weight_radius input stability index"
    center, radius, widest, spread, _, stability, index = take(document["claim"], keys)
    largest = max(take_tensor(radius).values, default=0.0).hex()
    words = [
        f"exactly one equilibrium within {_show(largest, ROUND_CEILING, 3)} of the stored center "
        f"near {_near(center)}"
    ]
    if take_real(widest) > 0:
        words.append(f"no other within {_show(widest, ROUND_FLOOR, 3)}")
    words.append(f"stability: {_word(stability)}")
    if index is not None:
        words.append(f"index {_whole(index):+d}")
    if take_real(spread) > 0:
        words.append(f"for all weights within {_show(spread, ROUND_FLOOR, 3)}")
    return ", ".join(words)


def _hopf(document: dict[str, Any]) -> str:
    family, claim = take(document["family"], "kind direction")[0], document["claim"]
    keys = "parameter frequency center radius crossing lyapunov_coefficient unstable cycles stable"
    take(claim, keys)
    weights = {"gain": "a W", "shift": "W + a I", "direction": "W + a D"}
    require(family in tuple(weights), "the family is unknown")
    return f"Hopf point of {weights[family]}: {_cycles(claim)}"


def _all_hopf(document: dict[str, Any]) -> str:
    points = take_list(take(document["claim"], "points")[0])
    keys = "parameter frequency lyapunov_coefficient unstable cycles stable"
    stable = sum(take(point, keys)[5] is True for point in points)
    count = f"exactly {len(points)} Hopf points of W + a I over all real a"
    return f"{count}, {stable} with stable cycles; the bias does not matter"


def _cycles(claim: dict[str, Any]) -> str:
    a, omega, l1 = (
        _interval(claim[name]) for name in ("parameter", "frequency", "lyapunov_coefficient")
    )
    require(type(claim["stable"]) is bool, "stable is neither true nor false")
    attract = "stable" if claim["stable"] else "not stable"
    return (
        f"a in {a}, frequency in {omega}, l1 in {l1}, {_whole(claim['unstable'])} unstable "
        f"eigenvalues, small cycles {_word(claim['cycles'])} it, {attract}"
    )


def _interval(value: Any) -> str:
    ends = take_list(value)
    require(len(ends) == 2, "an interval needs two ends")
    low, high = (_show(e, r, 12) for e, r in zip(ends, (ROUND_FLOOR, ROUND_CEILING), strict=True))
    return f"[{low}, {high}]"


def _near(vector: Any) -> str:
    values = take_tensor(vector).values
    shown = " ".join(_show(value.hex(), ROUND_HALF_EVEN, 6) for value in values[:_SHOWN])
    return f"({shown}{' ...' if len(values) > _SHOWN else ''})"


def _word(value: Any) -> str:
    known = ("stable", "unstable", "undecided", "above", "below")
    require(value in known, "a word of the claim is unknown")
    return str(value)


def _whole(value: Any) -> int:
    require(type(value) is int and abs(value) <= 4096, "a count of the claim is malformed")
    return value
