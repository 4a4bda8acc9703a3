"""Claims about particles in words, their numbers rounded to the side on which the words hold."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Any

from limitset.checker._document import require, take, take_list, take_real
from limitset.checker._positional import POSITIONAL
from limitset.checker._replicator import COLLAPSE, FIXED_POINT, REPLICATOR


def _replicator(document: dict[str, Any]) -> str:
    *_, widest, distance, eigenvalue, units, unstable, training = take(
        document["claim"], REPLICATOR
    )
    words = [
        f"an exact self-replicator lies within {_up(distance)} of the weights",
        f"unstable under self-application: eigenvalue {_whole(eigenvalue)}",
    ]
    if take_real(widest) > 0:
        words.append(f"alone across the others within {_down(widest)}")
    if units is not None:
        words.append(f"exactly {_whole(units)} eigenvalues 1")
    if unstable is not None:
        words.append(f"{_whole(unstable)} outside the unit circle")
    if training is not None:
        low, high = take(training, "slowest fastest")
        words.append(f"self-training attracts with modes in [{_down(low)}, {_up(high)}]")
    return ", ".join(words)


def _collapse(document: dict[str, Any]) -> str:
    radius, factor = take(document["claim"], COLLAPSE)
    return (
        f"self-application takes all weights of norm at most {_down(radius)} to 0, "
        f"by a factor {_up(factor, 17)} or less a step"
    )


def _fixed_point(document: dict[str, Any]) -> str:
    claim = document["claim"]
    *_, widest, stability, _, basin = take(claim, FIXED_POINT)
    require(stability in ("stable", "unstable", "undecided"), "a word of the claim is unknown")
    words = ["exactly one self-replicator in the stored box, not 0"]
    if take_real(widest) > 0:
        words.append(f"no other within {_down(widest)}")
    words.append(f"stability under self-application: {stability}")
    if take_real(basin) > 0:
        words.append(f"attracts all weights within {_down(basin)}")
    return ", ".join(words)


def _positional(document: dict[str, Any]) -> str:
    reach, entries = take(document["claim"], POSITIONAL)
    return (
        f"exactly {len(take_list(entries))} fixed points Pi a of self-application with "
        f"0 < max |a_i| <= {_down(reach)}, all unstable"
    )


def _up(text: Any, digits: int = 3) -> str:
    return _rounded(text, ROUND_CEILING, digits)


def _down(text: Any) -> str:
    return _rounded(text, ROUND_FLOOR, 3)


def _rounded(text: Any, rounding: str, digits: int) -> str:
    number = Context(prec=digits, rounding=rounding).create_decimal_from_float(take_real(text))
    return f"{number.normalize():g}"


def _whole(value: Any) -> int:
    require(type(value) is int and abs(value) <= 4096, "a count of the claim is malformed")
    return value


PARTICLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "replicator": _replicator,
    "collapse": _collapse,
    "fixed_point": _fixed_point,
    "positional_replicators": _positional,
}
