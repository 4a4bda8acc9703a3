"""Gated units: `x' = nu(u) (-x + w phi(x) + ...) + L x`, and `x+ = C (x + h units(x, u))`.

The gates `nu_i(u)` lie between `slowest_i` and `fastest_i` and do not depend on the state, and no
unit weighs another: the units' part of the Jacobian is diagonal, and every entry is extreme at the
ends of its gate and of its slope.
"""

from typing import Any

from flint import arb

from limitset.checker._arithmetic import measure_at_most, norm_at_most, whiten
from limitset.checker._contraction import read_scale, read_value
from limitset.checker._document import require, take, take_list, take_number, take_real, take_tensor
from limitset.checker._network import ACTIVATIONS, MAX_UNITS, Network

_VECTORS = ("self_weight", "bias", "gate_bias", "slowest", "fastest")
_SCHEMES = {False: ("explicit_euler",), True: ("semi_implicit", "cayley", "rotation")}


def read_gated(value: Any) -> Network:
    """The units, if the tensors are exactly those that the configuration calls for."""
    config, entries = take(value, "config tensors")
    _, activation, coupled, rule = take(config, "kind activation coupled discretisation")
    known = isinstance(activation, str) and activation in ACTIVATIONS
    require(known and type(coupled) is bool and isinstance(entries, dict), "an entry is unknown")
    if rule is not None:
        scheme, step = take(rule, "scheme step")
        require(scheme in _SCHEMES[coupled] and take_number(step) > 0, "the scheme is unknown")
    tensors = {name: take_tensor(entry) for name, entry in entries.items()}
    n, m = (*tensors["input_weight"].shape, 0, 0)[:2] if "input_weight" in tensors else (0, 0)
    require(0 < n <= MAX_UNITS, f"there are no units, or more than {MAX_UNITS}")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_VECTORS, (n,))
    shapes |= {"input_weight": (n, m), "gate_weight": (n, m)}
    shapes |= {"coupling" if rule is None else "propagator": (n, n)} if coupled else {}
    shapes |= {} if rule is None else {"step": ()}
    fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
    require(fits, "the tensors are not those, in name and shape, that the configuration needs")
    kind = "flow" if rule is None else "gated_map"
    return Network(kind, [], tensors, (0.0,) * n, (1.0,) * n, "gated", activation)


def prove_input_gates(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    is_flow, value = network.rule == "flow", read_value(document, network)
    require(value > 0 if is_flow else value >= 0 and value < 1, "no rate > 0, no factor in [0, 1)")
    entries, coupling = take(document["witness"], "modules coupling")
    witness = [take(entry, "theorem bound") for entry in take_list(entries)]
    norms = [arb(take_real(bound)) for bound in take_list(coupling)]
    fits = len(witness) == 1 and len(norms) == ("propagator" in network.tensors)
    require(fits and witness[0][0] == "input_gates", "the witness does not fit the network")
    scale, bound = read_scale(document, network), arb(take_real(witness[0][1]))
    speeds = [network.tensors[name].values for name in ("slowest", "fastest")]
    require(min(map(min, speeds)) > 0, "a gate has an end that is not positive")
    if is_flow:
        return _prove_flow(network, speeds, scale, value, bound)
    step = arb(network.tensors["step"].values[0])
    for index, shares in enumerate(_shares(network, speeds)):
        proved = all(abs(1 - step * share) <= bound for share in shares)
        require(proved, f"unit {index}: its bound is not established")
    for norm in norms:
        whitened = whiten(network.tensors["propagator"].values, scale)
        require(norm_at_most(whitened, norm), "the bound of propagator is not established")
    follows = bound * (norms[0] if norms else 1) <= value
    return require(bool(follows), "the claim does not follow from its bounds")


def _prove_flow(network: Network, speeds: Any, scale: Any, value: arb, bound: arb) -> None:
    rates = _shares(network, speeds)
    for index, shares in enumerate(rates):
        proved = all(bound <= share for share in shares)
        require(proved, f"unit {index}: its bound is not established")
    if "coupling" not in network.tensors:
        return require(bool(value <= bound), "the claim does not follow from its bounds")
    V = whiten(network.tensors["coupling"].values, scale)
    for i, (first, *others) in enumerate(rates):
        for share in others:
            first = first.min(share)
        V[i, i] -= first
    return require(measure_at_most(V, -value), "the claim does not follow from the coupling")


def _shares(network: Network, speeds: Any) -> list[list[arb]]:
    """For every unit, `nu (1 - w s)` at the ends of gate and slope."""
    slopes = ACTIVATIONS[network.activation][:2]
    each = zip(network.tensors["self_weight"].values, *speeds, strict=True)
    return [[nu * (1 - arb(w) * s) for nu in ends for s in slopes] for w, *ends in each]
