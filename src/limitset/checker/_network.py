"""The closed grammar of networks: configuration and tensors -> the system a claim is about."""

import math
from typing import Any, NamedTuple

from limitset.checker._document import Tensor, require, take, take_list, take_number, take_tensor

MAX_UNITS = 4096
# phi: slopes in [lo, hi] with lo >= 0, a bound of |phi|, and of phi(0) (softplus: log 2, upwards).
ACTIVATIONS = {
    "tanh": (0.0, 1.0, 1.0, 0.0),
    "relu": (0.0, 1.0, math.inf, 0.0),
    "sigmoid": (0.0, 0.25, 1.0, 0.5),
    "softplus": (0.0, 1.0, math.inf, 0.6931471805599455),
    "identity": (1.0, 1.0, math.inf, 0.0),
}
# Kind and scheme -> ranks of the tensors beside the modules' own, of shape (n,) * rank.
_UNIT = {"keep": 0, "gain": 0}
_SPLIT = {"coupling": 2, "keep": 1, "gain": 1, "propagator": 2}
_SHARED: dict[str, dict[str | None, dict[str, int]]] = {
    "elman": {None: {}},
    "rate": {None: {}, "explicit_euler": _UNIT, "exponential_euler": _UNIT},
    "assembly": {
        None: {"coupling": 2},
        "semi_implicit": _SPLIT,
        "cayley": _SPLIT,
        "rotation": _SPLIT,
        "explicit_euler": {"coupling": 2, "gain": 1, "transition": 2},
        "exponential_euler": {"coupling": 2, "transition": 2, "response": 2},
    },
}
_RATE = "kind form activation leak time_constant"


class RateModule(NamedTuple):
    """`drive = weight phi(x) + input_weight u + biases` (Hopfield) or `phi(weight x + ...)`."""

    form: str
    activation: str
    leak: float
    time_constant: float
    units: slice
    weight: Tensor
    input_weight: Tensor
    biases: list[Tensor]


class Network(NamedTuple):
    """`rule`: how the tensors make a system, whatever scheme they came from.

    `flow`, `unit` (`x+ = keep x + gain drive`), or for the map of an assembly: `split` (`x+ =
    propagator (keep x + gain drive)`), `explicit_euler`, `exponential_euler`.
    """

    rule: str
    modules: list[RateModule]
    tensors: dict[str, Tensor]
    keep: tuple[float, ...]
    gain: tuple[float, ...]
    family: str = "layers"
    activation: str = ""
    parts: tuple[Any, ...] = ()


# Family -> the tensor whose columns are its inputs.
_ENTERING = {
    "gated": "input_weight",
    "diagonal": "input_weight",
    "ren": "B2",
    "stack": "embedding",
}


def input_count(network: Network) -> int:
    """Number of inputs; the parts of a composite share theirs."""
    if network.family == "composite":
        return input_count(network.parts[0])
    if network.modules:
        return network.modules[0].input_weight.shape[1]
    return network.tensors[_ENTERING[network.family]].shape[1]


def read_network(value: Any) -> Network:
    """The network, if its tensors are exactly those that its configuration calls for."""
    config, entries = take(value, "config tensors")
    kind = str(config.get("kind")) if isinstance(config, dict) else ""
    require(kind in _SHARED and isinstance(entries, dict), "the network's kind is unknown")
    names, rule = [["weight", "input_weight", "bias"]], None
    if kind == "elman":
        rates = [["rate", "firing_rate", take(config, "kind activation")[1], 1, 1]]
        names = [["weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"]]
    elif kind == "rate":
        *rate, rule = take(config, _RATE + " discretisation")
        rates = [rate]
    else:
        _, modules, rule = take(config, "kind modules discretisation")
        rates = [take(module, _RATE) for module in take_list(modules)]
        names = [[f"module_{i}.{name}" for name in names[0]] for i in range(len(rates))]
    scheme, step = (None, 1) if rule is None else take(rule, "scheme step")
    known = scheme in tuple(_SHARED[kind]) and (rule is None) == (scheme is None)
    require(known and take_number(step) > 0 and len(rates) > 0, "a scheme or module is missing")
    tensors = {name: take_tensor(entry) for name, entry in entries.items()}
    shapes, n, inputs = {}, 0, 0
    constants: list[Any] = []
    for (base, form, activation, leak, time), own in zip(rates, names, strict=True):
        known = base == "rate" and form in ("hopfield", "firing_rate")
        require(known and activation in tuple(ACTIVATIONS), "a form or activation is unknown")
        require(take_number(leak) >= 0 < take_number(time), "a leak or time constant is negative")
        k, m = (*tensors[own[1]].shape, 0, 0)[:2] if own[1] in tensors else (0, 0)
        inputs = inputs if n else m
        shapes |= zip(own, [(k, k), (k, inputs), (k,), (k,)], strict=False)
        constants.append((form, activation, float(leak), float(time), slice(n, n := n + k)))
        require(0 < k and n <= MAX_UNITS, f"a module has no units, or all have over {MAX_UNITS}")
    shapes |= {name: (n,) * rank for name, rank in _SHARED[kind][scheme].items()}
    fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
    require(fits, "the tensors are not those, in name and shape, that the configuration needs")
    modules = []
    for (form, activation, leak, time, units), own in zip(constants, names, strict=True):
        weight, entering, *biases = (tensors[name] for name in own)
        modules.append(RateModule(form, activation, leak, time, units, weight, entering, biases))
    keep, gain = (0.0,) * n, (1.0,) * n
    if "keep" in tensors:
        keep, gain = tensors["keep"].values, tensors["gain"].values
        keep, gain = keep * (n // len(keep)), gain * (n // len(gain))
    rule = "split" if "propagator" in tensors else str(scheme) if kind == "assembly" else "unit"
    is_flow = scheme is None and kind != "elman"
    return Network("flow" if is_flow else rule, modules, tensors, keep, gain)
