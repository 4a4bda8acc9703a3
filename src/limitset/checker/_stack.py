"""Diagonal recurrences, and stacks of layers: `x_k+ = F_k(x_k, z_(k-1))`, `z_k = z_(k-1) + ...`.

With distances `e_k` in the layers' metrics, `e_k+ <= f_k e_k + beta_k sum_(j<k) r_j e_j+`: the
input of a layer changes by what the relays below it pass on. Positive weights that satisfy
`f_k + q w_k beta_k sum_(j<k) r_j / w_j <= q` prove the factor q in the metric `max w_k |x_k|`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite, norm_at_most, whiten
from limitset.checker._contraction import read_form, read_scale, read_value
from limitset.checker._document import Tensor, require, take, take_list, take_real, take_tensor
from limitset.checker._network import ACTIVATIONS, MAX_UNITS, Network, input_count
from limitset.checker._sector import diagonal

Prove = Callable[[dict[str, Any], Network], None]
_STREAM = ("embedding", "embedding_bias")


class Relay(NamedTuple):
    """`write phi(read x + bias)`."""

    activation: str
    read: arb_mat
    write: arb_mat


def read_recurrence(value: Any) -> Network:
    """`lambda` in parts, and 2n rows of input weights and biases."""
    config, entries = take(value, "config tensors")
    take(config, "kind")
    require(isinstance(entries, dict), "the tensors are missing")
    tensors = {name: take_tensor(entry) for name, entry in entries.items()}
    n = (*tensors["real"].shape, 0)[0] if "real" in tensors else 0
    m = (*tensors["input_weight"].shape, 0, 0)[1] if "input_weight" in tensors else 0
    require(0 < 2 * n <= MAX_UNITS, f"there are no units, or more than {MAX_UNITS}")
    shapes = {"real": (n,), "imaginary": (n,), "input_weight": (2 * n, m), "bias": (2 * n,)}
    fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
    require(fits, "the tensors are not those, in name and shape, that a recurrence needs")
    return Network("diagonal", [], tensors, (0.0,) * 2 * n, (1.0,) * 2 * n, "diagonal")


def prove_diagonal_linear(document: dict[str, Any], network: Network) -> None:
    """`|lambda_k| <= factor`, in a metric with one scale for both parts of a unit."""
    value, scale = read_value(document, network), read_scale(document, network)
    require(bool(value >= 0 and value < 1), "no factor in [0, 1)")
    entries, coupling = take(document["witness"], "modules coupling")
    witness = [take(entry, "theorem bound") for entry in take_list(entries)]
    fits = len(witness) == 1 and witness[0][0] == "diagonal_linear" and take_list(coupling) == []
    require(fits, "the witness does not fit the network")
    half, bound = len(scale) // 2, arb(take_real(witness[0][1]))
    require(scale[:half] == scale[half:], "the parts of a unit have different scales")
    parts = zip(network.tensors["real"].values, network.tensors["imaginary"].values, strict=True)
    proved = bound >= 0 and all(arb(a) * a + arb(b) * b <= bound * bound for a, b in parts)
    require(bool(proved and bound <= value), "a modulus is not established to be at most its bound")


def read_stack(value: Any, read: Callable[[Any], Network]) -> Network:
    """The stream, the layers as `read` finds them, and the relays between them."""
    config, entries = take(value, "config tensors")
    _, layers, relays = take(config, "kind layers relays")
    require(isinstance(entries, dict), "the tensors are missing")
    groups: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        group, dot, rest = name.partition(".")
        require(bool(group and rest) == bool(dot), "a tensor has a name without head or tail")
        groups.setdefault(group if rest else "", {})[rest or group] = entry
    count = len(take_list(layers))
    require(0 < count == len(take_list(relays)) + 1, "a stack needs a relay between two layers")
    places, between = [[f"{name}_{k}" for k in range(count)] for name in ("layer", "relay")]
    between.pop()
    require(set(groups) == {"", *places, *between}, "the tensors are not those of the layers")
    embedding, bias = (take_tensor(entry) for entry in take(groups[""], " ".join(_STREAM)))
    tensors: dict[str, Tensor] = {"embedding": embedding, "embedding_bias": bias}
    fits = len(bias.shape) == 1 and len(embedding.shape) == 2
    require(fits and embedding.shape[:1] == bias.shape, "embedding and its bias do not fit")
    networks, passages = [], []
    for place, layer in zip(places, layers, strict=True):
        network = read({"config": layer, "tensors": groups[place]})
        require(network.rule != "flow", "a layer is a flow")
        fits = (input_count(network),) == bias.shape
        require(fits, "a layer's inputs are not the stream's width")
        tensors |= {f"{place}.{name}": tensor for name, tensor in network.tensors.items()}
        networks.append(network)
    n = sum(len(network.keep) for network in networks)
    require(n <= MAX_UNITS, f"all layers have over {MAX_UNITS} states")
    for place, relay, network in zip(between, relays, networks, strict=False):
        passage, own = _read_relay(relay, groups[place], len(network.keep), *bias.shape)
        tensors |= {f"{place}.{name}": tensor for name, tensor in own.items()}
        passages.append(passage)
    parts = (tuple(networks), tuple(passages))
    return Network("stack", [], tensors, (0.0,) * n, (1.0,) * n, "stack", "", parts)


def _read_relay(
    config: Any, entries: Any, states: int, width: int
) -> tuple[Relay, dict[str, Tensor]]:
    (activation,) = take(config, "activation")
    require(isinstance(activation, str) and activation in ACTIVATIONS, "an activation is unknown")
    read, bias, write = (take_tensor(entry) for entry in take(entries, "read bias write"))
    h = (*bias.shape, 0)[0]
    fits = (read.shape, bias.shape, write.shape) == ((h, states), (h,), (width, h))
    require(fits, "the tensors of a relay do not fit its layer and the stream")
    relay = Relay(activation, _matrix(read), _matrix(write))
    return relay, {"read": read, "bias": bias, "write": write}


def prove_cascade(document: dict[str, Any], network: Network, prove: Prove) -> None:
    """Prove every layer, every bound of the joints, and the inequality of the weights."""
    require(network.family == "stack", "cascade is for stacks")
    value = read_value(document, network)
    require(bool(value >= 0 and value < 1), "no factor in [0, 1)")
    layers, relays = network.parts
    kind, metrics, entry = take(document["metric"], "kind parts weights")
    weights = take_tensor(entry)
    fits = kind == "block_maximum" and len(take_list(metrics)) == len(layers)
    fits = fits and (weights.dtype, weights.shape) == ("float64", (len(layers),))
    require(fits and min(weights.values) > 0, "the metric is no maximum over the layers")
    entries, joints = take(document["witness"], "parts joints")
    fits = len(take_list(entries)) == len(layers) and len(take_list(joints)) == len(relays)
    require(fits, "the witness does not fit the network")
    load, proved = arb(0), []
    for k, (layer, metric, part) in enumerate(zip(layers, metrics, entries, strict=True)):
        theorem, claim, witness = take(part, "theorem claim witness")
        inner = {"theorem": theorem, "claim": claim, "witness": witness, "metric": metric}
        prove(inner, layer)
        total, proved = read_value(inner, layer), [*proved, inner]
        if k:
            names = "write read response drive"
            write, read, response, drive = (arb(take_real(b)) for b in take(joints[k - 1], names))
            _prove_passage(proved[k - 1], layers[k - 1], relays[k - 1], write, read, k)
            _prove_entry(inner, layer, response, drive, k)
            steepest = ACTIVATIONS[relays[k - 1].activation][1]
            load += write * steepest * read / arb(weights.values[k - 1])
            total += value * arb(weights.values[k]) * response * drive * load
        require(bool(total <= value), f"layer {k}: the claim does not follow from its bounds")


def _prove_passage(
    inner: dict[str, Any], layer: Network, relay: Relay, write: arb, read: arb, k: int
) -> None:
    """`|write| <= write` and `|read v| <= read |v|_M`."""
    require(_norm_at_most(relay.write, write), f"relay {k - 1}: the norm write is not established")
    Y, holds = relay.read, bool(read >= 0)
    if _is_diagonal(inner):
        scale = [1 / arb(s) for s in read_scale(inner, layer)]
        holds = holds and _norm_at_most(_scaled(Y.transpose(), scale), read)
    else:
        left = read_form(inner, layer) * (read * read) - Y.transpose() * Y
        holds = holds and (_is_zero(Y) or is_positive_definite(left))
    require(holds, f"relay {k - 1}: the norm read is not established")


def _prove_entry(inner: dict[str, Any], layer: Network, response: arb, drive: arb, k: int) -> None:
    """`|dF / du| <= response drive`, from the Euclidean norm into the metric of the layer.

    The derivative is `R D X`, with R the matrix behind the drive, X the weighed input weights and
    D the slopes, at most 1 after X has taken the steepest. Where D is I, `R X` is bounded as one.
    """
    X, name, sloped = _driven(layer)
    n = len(layer.keep)
    R = arb_mat(n, n, layer.tensors[name].values) if name else diagonal([arb(1)] * n)
    entered = X if sloped or not name else R * X
    if _is_diagonal(inner):
        scale = read_scale(inner, layer)
        last = _norm_at_most(_scaled(entered, list(map(arb, scale))), drive)
        first = response >= 1
        if sloped and name:
            first = norm_at_most(whiten(layer.tensors[name].values, scale), response)
    elif sloped:
        form = read_form(inner, layer)
        first, last = _form_at_most(R, form, response), _norm_at_most(X, drive)
    else:
        form = read_form(inner, layer)
        first, last = response >= 1, _form_at_most(entered, form, drive)
    require(bool(first), f"layer {k}: the norm response is not established")
    require(bool(last), f"layer {k}: the norm drive is not established")


def _driven(layer: Network) -> tuple[arb_mat, str, bool]:
    """Input weights times gains and steepest slopes; what stands behind; whether slopes vary."""
    if layer.family == "diagonal":
        return _matrix(layer.tensors["input_weight"]), "", False
    known = layer.family == "layers" and layer.rule in _BEHIND
    require(known, "no bound is known of what inputs do to a layer of this kind")
    gain = layer.tensors["gain"].values if layer.rule == "explicit_euler" else layer.gain
    entries: list[arb] = []
    for module in layer.modules:
        firing, m = module.form == "firing_rate", module.input_weight.shape[1]
        steepest = arb(ACTIVATIONS[module.activation][1] if firing else 1.0)
        for i, own in enumerate(gain[module.units]):
            row = module.input_weight.values[i * m : (i + 1) * m]
            entries += [steepest * own * w for w in row]
    n, sloped = len(layer.keep), any(module.form == "firing_rate" for module in layer.modules)
    return arb_mat(n, len(entries) // n, entries), _BEHIND[layer.rule], sloped


_BEHIND = {
    "unit": "",
    "split": "propagator",
    "explicit_euler": "",
    "exponential_euler": "response",
}


def _norm_at_most(X: arb_mat, bound: arb) -> bool:
    """`|X|_2 <= bound`, for matrices of any shape."""
    gram = X.transpose() * X if X.nrows() >= X.ncols() else X * X.transpose()
    return bool(bound >= 0) and (_is_zero(X) or is_positive_definite(bound * bound - gram))


def _form_at_most(X: arb_mat, form: arb_mat, bound: arb) -> bool:
    """`v^T X^T M X v <= bound^2 |v|^2`."""
    gram = X.transpose() * form * X
    return bool(bound >= 0) and (_is_zero(X) or is_positive_definite(bound * bound - gram))


def _is_diagonal(inner: dict[str, Any]) -> bool:
    return isinstance(inner["metric"], dict) and inner["metric"].get("kind") == "diagonal"


def _scaled(X: arb_mat, scale: list[arb]) -> arb_mat:
    """The rows times the entries of the scale."""
    entries, m = X.entries(), X.ncols()
    return arb_mat(X.nrows(), m, [scale[i // m] * x for i, x in enumerate(entries)])


def _is_zero(X: arb_mat) -> bool:
    return all(entry == 0 for entry in X.entries())


def _matrix(tensor: Tensor) -> arb_mat:
    rows, columns = tensor.shape
    return arb_mat(rows, columns, tensor.values) if tensor.values else arb_mat(rows, columns)
