"""What float32 does to a contracting map: every step errs by at most `rounding` in the metric.

Standard model: `fl(a op b) = (a op b)(1 + d) + e`, `|d| <= 2^-24`, and numbers below 2^-126 may
count as 0, as operands and as results. A sum of k products, in any order, fused or not, errs by at
most `k u / (1 - k u)` of its magnitude.
"""

import math
from typing import Any

from flint import arb, arb_mat

from limitset.checker._contraction import read_form, read_scale, read_value
from limitset.checker._document import require, take, take_list, take_real
from limitset.checker._metzler import read_polyhedral
from limitset.checker._network import Network
from limitset.checker._rounding import (
    Gauge,
    Map,
    Rounding,
    drive_size,
    gather,
    norm_of,
    state_size,
    step_sizes,
)

_RULES = ("unit", "split", "explicit_euler", "exponential_euler")


def prove_float32(document: dict[str, Any], network: Network) -> None:
    """Prove that runs stay in the ball of `state_radius`, and that two approach within `gap`."""
    keys = "input_bound activation_error state_radius rounding gap"
    inputs, alpha, radius, rounding, gap = map(take_real, take(document["float32"], keys))
    stored = {tensor.dtype for tensor in network.tensors.values()}
    fits = stored == {"float32"} and network.family == "layers" and network.rule in _RULES
    require(fits, "float32 is for maps without equations to solve, of float32 tensors only")
    exact = all(module.activation in ("relu", "identity") for module in network.modules)
    usable = inputs >= 0 < radius and 0 <= alpha <= 2.0**-10 and (exact or alpha > 0)
    require(usable, "float32: input_bound, state_radius or activation_error is not usable")
    factor, exactly = read_value(document, network), Rounding(0.0, 0.0, 0.0, 0.0)
    system = gather(network, _read_gauge(document, network), inputs)
    state, rest = (state_size(system, r) for r in (radius, 0.0))
    single = Rounding(2.0**-24, 2.0**-120, 2.0**-126, alpha)
    moved = norm_of(system, step_sizes(system, rest, exactly)[0])
    erred = norm_of(system, step_sizes(system, state, single)[1])
    require(bool(erred <= rounding), "float32: the rounding error of a step is not established")
    # Contraction towards F(0, u), or the linear part with the drive bounded as a whole.
    reaches = [factor * radius + moved]
    pushed = norm_of(system, drive_size(system, state, exactly))
    reaches += _linear_reach(document, system, arb(radius), pushed)
    stays = any(reach + rounding <= radius for reach in reaches)
    require(stays, "float32: runs may leave the ball")
    require(bool(2 * arb(rounding) <= gap * (1 - factor)), "float32: the gap is not established")


def _linear_reach(document: dict[str, Any], system: Map, radius: arb, pushed: arb) -> list[arb]:
    """`|F(x, u)|` from the linear part, where the proof of contraction has bounded its norm."""
    network = system.network
    kept = max(map(abs, network.keep)) * radius
    if network.rule == "unit":  # all units keep one share: a norm of any kind scales with it
        return [kept + pushed]
    if document["theorem"] != "skew_feedback":
        return []
    norms = [arb(take_real(n)) for n in take_list(take(document["witness"], "modules coupling")[1])]
    if network.rule == "split":
        return [norms[0] * (kept + pushed)]
    # What the response does to the drive is the last norm; explicit Euler has none.
    return [norms[0] * radius + math.prod(norms[1:], start=arb(1)) * pushed]


def _read_gauge(document: dict[str, Any], network: Network) -> Gauge:
    n = len(network.keep)
    if "matrix" in document["metric"]:
        M = read_form(document, network)
        inverse = M.inv()
        reach = [inverse[i, i].abs_upper().sqrt() for i in range(n)]
        return Gauge(reach, None, arb_mat(n, n, [abs(entry) for entry in M.entries()]))
    if document["metric"].get("kind") in ("sum", "maximum"):
        kind, weights = read_polyhedral(document, network)
        return Gauge([1 / arb(s) for s in weights], None, arb_mat(0, 0), (kind, weights))
    scale = read_scale(document, network)
    return Gauge([1 / arb(s) for s in scale], scale, arb_mat(0, 0))
