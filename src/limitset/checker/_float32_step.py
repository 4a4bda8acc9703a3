"""One float32 step from a ball of states: its rounding error, and a bound of where it leads."""

import math
from typing import Any

from flint import arb, arb_mat

from limitset.checker._contraction import read_form, read_scale, read_value
from limitset.checker._document import require, take, take_list, take_real
from limitset.checker._float32_composite import composite_step
from limitset.checker._float32_gated import gated_step, recurrence_step
from limitset.checker._float32_ren import ren_step
from limitset.checker._metzler import read_polyhedral
from limitset.checker._network import Network
from limitset.checker._rounding import (
    Map,
    drive_size,
    gather,
    norm_of,
    state_size,
    step_sizes,
)
from limitset.checker._size import Gauge, Inputs, Reach, Rounding

# Family -> the rules of its maps. Flows and implicit steps are not among them.
_RULES = {
    "layers": ("unit", "split", "explicit_euler", "exponential_euler"),
    "gated": ("gated_map",),
    "diagonal": ("diagonal",),
    "ren": ("ren",),
    "composite": ("mixing",),
}


def prove_ball(
    document: dict[str, Any],
    network: Network,
    inputs: Inputs,
    radius: float,
    r: Rounding,
    rounding: float | None = None,
) -> arb:
    """Prove that runs with this rounding do not leave the ball; what a step errs by within it."""
    erred, reached, _ = local_step(document, network, inputs, arb(radius), r)
    allowed = erred if rounding is None else arb(rounding)
    require(bool(reached + allowed <= radius), "float32: runs may leave the ball")
    return erred


def local_step(
    document: dict[str, Any], network: Network, inputs: Inputs, radius: arb, r: Rounding
) -> Reach:
    """Bounds of the rounding error's norm, and of the norm of the exact next state."""
    fits = network.rule in _RULES.get(network.family, ())
    require(fits, "float32 is not known for systems of this kind")
    if network.family == "gated":
        return gated_step(document, network, inputs, radius, r)
    if network.family == "diagonal":
        return recurrence_step(document, network, inputs, radius, r)
    if network.family == "ren":
        return ren_step(document, network, read_gauge(document, network), inputs, radius, r)
    if document["theorem"] in ("composition", "small_gain"):
        return composite_step(document, network, inputs, radius, r, local_step)
    return _rate_step(document, network, inputs, radius, r)


def _rate_step(
    document: dict[str, Any], network: Network, inputs: Inputs, radius: arb, r: Rounding
) -> Reach:
    """Of maps of rate networks and assemblies, and of Elman cells."""
    factor, exactly = read_value(document, network), Rounding(0.0, 0.0, 0.0, 0.0)
    system = gather(network, read_gauge(document, network), inputs)
    settled = gather(network, system.gauge, Inputs(inputs.entries, [arb(0)] * len(inputs.error)))
    state, rest = (state_size(system, at) for at in (radius, arb(0)))
    moved = norm_of(settled, step_sizes(settled, rest, exactly)[0])
    erred = norm_of(system, step_sizes(system, state, r)[1])
    # Contraction towards F(0, u), or the linear part with the drive bounded as a whole.
    pushed = norm_of(settled, drive_size(settled, state, exactly))
    reached = factor * radius + moved
    for other in _linear_reach(document, system, radius, pushed):
        reached = other if other < reached else reached
    return Reach(erred, reached, moved)


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


def read_gauge(document: dict[str, Any], network: Network) -> Gauge:
    """Bounds of entries and norms in the metric of a certificate."""
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
