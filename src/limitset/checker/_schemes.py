"""Maps proved through the flow they were made of: backward Euler, and explicit Euler.

The claim about the flow stands in the witness, and is proved first, in the metric of the map.
"""

from collections.abc import Callable
from typing import Any

from flint import arb

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._contraction import read_form, read_value
from limitset.checker._document import (
    require,
    take,
    take_list,
    take_number,
    take_real,
    take_tensor,
)
from limitset.checker._network import Network
from limitset.checker._sector import diagonal, make_lure

Prove = Callable[[dict[str, Any], Network], None]
_MOST = 512
_CONSTANTS = ("keep", "gain", "transition")


def read_implicit(value: Any, read: Callable[[Any], Network]) -> Network:
    """The map of backward Euler: a flow of any kind, and the step as stored."""
    config, entries = take(value, "config tensors")
    scheme, step = take(config["discretisation"], "scheme step")
    fits = scheme == "backward_euler" and take_number(step) > 0 and isinstance(entries, dict)
    require(fits and "step" in entries, "the scheme or the stored step is missing")
    rest = {name: entry for name, entry in entries.items() if name != "step"}
    flow = read({"config": {**config, "discretisation": None}, "tensors": rest})
    stored = take_tensor(entries["step"])
    fits = flow.rule == "flow" and stored.shape == () and stored.values[0] > 0
    require(fits, "backward_euler needs a flow and a positive step")
    return flow._replace(rule="implicit", tensors={**flow.tensors, "step": stored})


def prove_backward_euler(document: dict[str, Any], network: Network, prove: Prove) -> None:
    """`1 / (1 + step rate) <= factor`, or raise `NotProved`."""
    value = _read_factor(document, network)
    require(network.rule == "implicit", "backward_euler is for implicit maps")
    (entry,) = take(document["witness"], "flow")
    own = {name: tensor for name, tensor in network.tensors.items() if name != "step"}
    rate = _prove_flow(document, entry, network._replace(rule="flow", tensors=own), prove)
    step = arb(network.tensors["step"].values[0])
    require(value * (1 + step * rate) >= 1, "the claim does not follow from the flow's rate")


def prove_euler_step(document: dict[str, Any], network: Network, prove: Prove) -> None:
    """`sqrt(1 - 2 step rate + step^2 F^2) + e <= factor`, or raise `NotProved`.

    `F` bounds the flow's Jacobians in the metric, `e` what the map's differ from `I + step J` by.
    """
    value, n = _read_factor(document, network), len(network.keep)
    fits = network.family == "layers" and network.rule in ("unit", "explicit_euler") and n <= _MOST
    require(fits, f"euler_step is for explicit Euler maps of at most {_MOST} units")
    entry, step, norms, weights = take(document["witness"], "flow step norms weights")
    flow, h = _flow_of(network), arb(take_real(step))
    rate = _prove_flow(document, entry, flow, prove)
    M, inner, outer = read_form(document, network), make_lure(flow), make_lure(network)
    dtype, shape, _, values = take_tensor(weights)
    fits = (dtype, shape) == ("float64", (len(inner.span),)) and min(values, default=1.0) > 0
    require(bool(fits and h > 0), "the step or the weights do not fit the network")
    T, seen = diagonal(list(map(arb, values))), diagonal(inner.span) * inner.C
    names = ("linear", "entering", "leaving", "drift", "slip")
    bounds = [arb(take_real(bound)) for bound in take_list(norms)]
    require(len(bounds) == len(names), "euler_step needs five norms")
    moved = outer.A - diagonal([arb(1)] * n) - inner.A * h
    matrices = (inner.A, inner.B, seen, moved, outer.B - inner.B * h)
    metrics = ((M, M), (T, M), (M, T), (M, M), (T, M))
    for name, X, (source, target), bound in zip(names, matrices, metrics, bounds, strict=True):
        left = source * (bound * bound) - X.transpose() * target * X
        proved = bound >= 0 and is_positive_definite(left)
        require(proved, f"the norm {name} is not established")
    linear, entering, leaving, drift, slip = bounds
    slope, spare = linear + entering * leaving, value - drift - slip * leaving
    follows = spare >= 0 and spare * spare >= 1 - 2 * h * rate + (h * slope) ** 2
    require(bool(follows), "the claim does not follow from the flow's rate")


def _read_factor(document: dict[str, Any], network: Network) -> arb:
    require(network.rule != "flow", "the theorem is for maps")
    value = read_value(document, network)
    require(bool(value >= 0 and value < 1), "no factor in [0, 1)")
    return value


def _flow_of(network: Network) -> Network:
    """The flow that an explicit Euler map was made of."""
    own = {name: tensor for name, tensor in network.tensors.items() if name not in _CONSTANTS}
    still, whole = (0.0,) * len(network.keep), (1.0,) * len(network.keep)
    return network._replace(rule="flow", tensors=own, keep=still, gain=whole)


def _prove_flow(document: dict[str, Any], entry: Any, flow: Network, prove: Prove) -> arb:
    """The flow's rate in the metric of the document, proved by the theorem that it names."""
    theorem, claim, witness = take(entry, "theorem claim witness")
    inner = {"theorem": theorem, "claim": claim, "witness": witness, "metric": document["metric"]}
    prove(inner, flow)
    return read_value(inner, flow)
