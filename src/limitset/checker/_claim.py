"""The claim in words, its numbers rounded to the side on which the words stay true."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context
from typing import Any

from limitset.checker._all_equilibria import read_claim as read_all_equilibria
from limitset.checker._bifurcation import KINDS, read_claim
from limitset.checker._branch import CLAIM as BRANCH
from limitset.checker._cycle import CLAIM as CYCLE
from limitset.checker._deep_claim import DEEP
from limitset.checker._document import require, take, take_list, take_real, take_tensor
from limitset.checker._float32 import float32_keys
from limitset.checker._hopf import CLAIM as HOPF
from limitset.checker._network import Network
from limitset.checker._particle_claim import PARTICLES

_SHOWN = 4


def describe(document: dict[str, Any], network: Network, evidence: str) -> str:
    """What the certificate claims; `evidence` says what has become of it."""
    if document["statement"] == "contraction":
        return _contraction(document, network, evidence)
    words = {"equilibrium": _equilibrium, "hopf": _hopf, "all_hopf": _all_hopf}
    words |= dict.fromkeys(KINDS, _bifurcation)
    words["all_equilibria"] = _all_equilibria
    words |= {"cycle": _cycle}
    words |= {"branch": _branch}
    words |= PARTICLES | DEEP
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
        step = "exact implicit step" if document["theorem"] == "backward_euler" else "step"
        claim = f"contracting: factor <= {factor} per {step}, all states and inputs [{evidence}]"
    if document["float32"] is None:
        return claim
    section = document["float32"]
    take(section, float32_keys(network))
    limits = ("input_bound", "state_radius", "activation_error")
    u, x, error = (_show(section[limit], ROUND_FLOOR) for limit in limits)
    where = f"in the metric, if |u| <= {u}, |x_0| <= {x}, activation error <= {error}"
    if network.rule == "implicit":
        where += f", residual of every step <= {_show(section['residual'], ROUND_FLOOR)}"
    gap = section["gap"]
    return f"{claim}; float32 runs of one input end within {_show(gap, ROUND_CEILING)} ({where})"


def _equilibrium(document: dict[str, Any]) -> str:
    keys = "center radius uniqueness_radius weight_radius input stability index"
    center, radius, widest, spread, _, stability, index = take(document["claim"], keys)
    largest = max(take_tensor(radius).values, default=0.0).hex()
    words = [
        f"exactly one equilibrium in the stored box, which reaches at most "
        f"{_show(largest, ROUND_CEILING, 3)} from its center near {_near(center)}"
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
    claim = document["claim"]
    take(claim, HOPF)
    return f"Hopf point of {_parameter(document)}: {_cycles(claim)}{_spread(claim)}"


def _parameter(document: dict[str, Any]) -> str:
    """What depends on the parameter, and how."""
    family = take(document["family"], "kind direction")[0]
    words = {"gain": "a W", "shift": "W + a I", "direction": "W + a D", "bias": "b + a d"}
    require(family in tuple(words), "the family is unknown")
    return words[family]


def _spread(claim: dict[str, Any]) -> str:
    """For which weights, where not only for the stored ones."""
    radius = claim["weight_radius"]
    words = f", for all weights within {_show(radius, ROUND_FLOOR, 3)}"
    return words if take_real(radius) > 0 else ""


def _all_hopf(document: dict[str, Any]) -> str:
    points = take_list(take(document["claim"], "points")[0])
    keys = "parameter frequency lyapunov_coefficient unstable cycles stable"
    stable = sum(take(point, keys)[5] is True for point in points)
    count = f"exactly {len(points)} Hopf points of W + a I over all real a"
    return f"{count}, {stable} with stable cycles; the bias does not matter"


def _all_equilibria(document: dict[str, Any]) -> str:
    region, spread, _, entries = read_all_equilibria(document)
    keys = "center radius stability index"
    stabilities = [_word(take(entry, keys)[2]) for entry in entries]
    where = "the whole space"
    if region is not None:
        low, high = map(_near, region)
        where = f"the stored box from about {low} to {high}"
    many = "equilibrium" if len(entries) == 1 else "equilibria"
    words = ("stable", "unstable", "undecided")
    counts = ", ".join(f"{stabilities.count(w)} {w}" for w in words if w in stabilities)
    claim = f"exactly {len(entries)} {many} in {where}{': ' if counts else ''}{counts}"
    if spread > 0:
        claim += f", for all weights within {_show(spread.hex(), ROUND_FLOOR, 3)}"
    return claim


def _bifurcation(document: dict[str, Any]) -> str:
    """Of a flow or map: what is proved, its numbers, what is born, and whether that attracts."""
    kind, claim = read_claim(document)
    require(type(claim["stable"]) is bool, "stable is neither true nor false")
    numbers = [f"{name} in {_interval(claim[name])}" for name in kind.intervals]
    attract = kind.stable if claim["stable"] else kind.unstable
    count = f"{_whole(claim['unstable'])} unstable eigenvalues"
    born = f"{kind.born} {_word(claim[kind.word])} it, {attract}"
    words = ", ".join([*numbers, count, born])
    spread = _spread(claim)
    if spread and document["statement"] == "pitchfork":
        spread += " and a bias of 0"
    return f"{kind.name} of {_parameter(document)}: {words}{spread}"


def _cycle(document: dict[str, Any]) -> str:
    claim = document["claim"]
    take(claim, CYCLE)
    shape = take_tensor(claim["states"]).shape
    require(len(shape) == 2, "the states are not rows of a matrix")
    smallest = ", the smallest one" if claim["minimal"] is True else ""
    words = [
        f"exactly one periodic orbit with its start in the plane of the phase, its states in the "
        f"stored boxes around {shape[0]} points, which reach at most "
        f"{_show(claim['state_radius'], ROUND_CEILING, 3)} from them, and its time between them "
        "in the stored range",
        f"period in {_interval(claim['period'])}{smallest}",
        f"stability: {_word(claim['stability'])}",
    ]
    if claim["outside"] is not None:
        words.append(f"{_whole(claim['outside'])} multipliers outside the unit circle")
    if take_real(claim["weight_radius"]) > 0:
        words.append(f"for all weights within {_show(claim['weight_radius'], ROUND_FLOOR, 3)}")
    return ", ".join(words)


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


def _branch(document: dict[str, Any]) -> str:
    claim = document["claim"]
    take(claim, BRANCH)
    require(type(claim["at_origin"]) is bool, "at_origin is neither true nor false")
    start = f"from near {_near(claim['center'])} at its low end"
    curve = "the origin" if claim["at_origin"] else f"the curve of equilibria {start}"
    counts = (_whole(claim[name]) for name in ("hopf", "folds", "pitchforks"))
    numbers = "{} Hopf points, {} folds and {} pitchforks".format(*counts)
    # Rounded ends would be another statement.
    low, high = (take_real(end) for end in take_list(claim["interval"]))
    return f"exactly {numbers} on {curve}, parameter in [{low!r}, {high!r}]"


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
