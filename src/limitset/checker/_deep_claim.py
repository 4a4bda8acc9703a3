"""Claims about deep blocks and networks in words, rounded to the side on which the words hold."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Any

from limitset.checker._block_claim import BLOCK
from limitset.checker._deep import NETWORK, RADIUS
from limitset.checker._document import require, take, take_real


def _block(document: dict[str, Any]) -> str:
    factor, limit, euclidean, maximum, _ = take(document["claim"], BLOCK)
    bounded = _rounded(factor, ROUND_CEILING, 9)
    words = ["nonexpansive: in one norm, distances between states of one input never grow"]
    if take_real(factor) < 1:
        words = [f"contracting: factor <= {bounded} per step of depth, all states and inputs"]
    for entry, norm in ((euclidean, "2-norm"), (maximum, "maximum norm")):
        gain = take(entry, "gain push transient")[0]
        if gain is not None:
            words.append(f"input gain <= {_up(gain)} at every depth ({norm})")
    if limit is not None:
        words.append(f"nonexpansive for steps up to {_down(limit)}")
    return ", ".join(words)


def _network(document: dict[str, Any]) -> str:
    gains = take(document["claim"], NETWORK)
    norms = zip(gains, ("2-norm", "maximum norm"), strict=True)
    words = [f"{_up(gain)} ({norm})" for gain, norm in norms if gain is not None]
    return f"Lipschitz bound from input to last state: {', '.join(words) or 'none'}"


def _radius(document: dict[str, Any]) -> str:
    _, label, _, _, euclidean, maximum = take(document["claim"], RADIUS)
    require(type(label) is int, "the class is no whole number")
    return (
        f"class {label} for all inputs closer to the stored one than {_down(euclidean)} (2-norm), "
        f"and closer than {_down(maximum)} (maximum norm)"
    )


def _up(text: Any) -> str:
    return _rounded(text, ROUND_CEILING, 4)


def _down(text: Any) -> str:
    return _rounded(text, ROUND_FLOOR, 4)


def _rounded(text: Any, rounding: str, digits: int) -> str:
    number = Context(prec=digits, rounding=rounding).create_decimal_from_float(take_real(text))
    if number == 1 != take_real(text):  # a factor below 1 has to look like one
        number = Context(prec=17, rounding=rounding).create_decimal_from_float(take_real(text))
    return f"{number.normalize():g}"


DEEP: dict[str, Callable[[dict[str, Any]], str]] = {
    "block": _block,
    "network": _network,
    "radius": _radius,
}
