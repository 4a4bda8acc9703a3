"""The theorems. Every bound in the witness is proved; then the claim must follow from them.

Jacobians of a module are `W D` (Hopfield form) or `D W`, D a diagonal of slopes in `[lo, hi]`. In
the metric `S^2` they have the norms and measures of `V D` or `D V`, `V = S W S^-1`.
"""

from itertools import product
from typing import Any

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite, measure_at_most, norm_at_most, whiten
from limitset.checker._document import require, take, take_list, take_real, take_tensor
from limitset.checker._network import ACTIVATIONS, Network, RateModule

_MATRICES = {
    "flow": ("coupling",),
    "split": ("propagator",),
    "explicit_euler": ("transition",),
    "exponential_euler": ("transition", "response"),
}


def prove_contraction(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    is_flow, value = network.rule == "flow", read_value(document, network)
    require(value > 0 if is_flow else value >= 0 and value < 1, "no rate > 0, no factor in [0, 1)")
    entries, coupling = take(document["witness"], "modules coupling")
    witness = [take(entry, "theorem bound") for entry in take_list(entries)]
    norms = [arb(take_real(bound)) for bound in take_list(coupling)]
    names = _MATRICES[network.rule] if "coupling" in network.tensors else ()
    fits = len(witness) == len(network.modules) and len(norms) == len(names)
    theorem = "skew_feedback" if names else witness[0][0] if fits else None
    require(fits and document["theorem"] == theorem, "theorem or witness do not fit the network")
    if theorem == "vertices":
        return _prove_vertices(document, network, value, arb(take_real(witness[0][1])))
    scale = read_scale(document, network)
    for name, norm in zip(names, norms, strict=True):
        whitened = whiten(network.tensors[name].values, scale)
        proved = measure_at_most(whitened, norm) if is_flow else norm_at_most(whitened, norm)
        require(proved, f"the bound of {name} is not established")
    for index, (module, (theorem, text)) in enumerate(zip(network.modules, witness, strict=True)):
        V, bound = whiten(module.weight.values, scale[module.units]), arb(take_real(text))
        proved = _bound_holds(network, module, theorem, V, bound)
        require(proved, f"module {index}: its bound is not established")
        follows = _claim_follows(network, module, value, norms, bound)
        require(follows, f"module {index}: the claim does not follow from its bound")


def read_value(document: dict[str, Any], network: Network) -> arb:
    """The claimed rate (flows) or factor (maps)."""
    words = ("rate", "continuous") if network.rule == "flow" else ("factor", "discrete")
    time, value = take(document["claim"], "time " + words[0])
    require(time == words[1], "the claim's time is not that of the network")
    return arb(take_real(value))


def read_scale(document: dict[str, Any], network: Network) -> tuple[float, ...]:
    """S of the diagonal metric `S^2`."""
    kind, entry = take(document["metric"], "kind scale")
    scale = take_tensor(entry)
    fits = kind == "diagonal" and scale.dtype == "float64" and scale.shape == (len(network.keep),)
    require(fits and min(scale.values) > 0, "the metric is not a positive scale of each unit")
    return scale.values


def read_form(document: dict[str, Any], network: Network) -> arb_mat:
    """M of the metric `v^T M v`, proved to be positive definite."""
    n = len(network.keep)
    if isinstance(document["metric"], dict) and "matrix" in document["metric"]:
        kind, entry = take(document["metric"], "kind matrix")
        fits = kind == "quadratic" and take_tensor(entry)[:2] == ("float64", (n, n))
        require(fits, "the metric does not fit the network")
        M = arb_mat(n, n, take_tensor(entry).values)
    else:
        M = arb_mat(n, n, [0.0] * n**2)
        for i, s in enumerate(read_scale(document, network)):
            M[i, i] = arb(s) ** 2
    require(M == M.transpose() and is_positive_definite(M), "the metric is not positive definite")
    return M


def _bound_holds(
    network: Network, module: RateModule, theorem: Any, V: arb_mat, bound: arb
) -> bool:
    """Whether the bound of the module's gain, measure (flows) or factor (maps) holds."""
    lo, hi, _, _ = ACTIVATIONS[module.activation]
    keep, gain = network.keep[module.units], network.gain[module.units]
    if theorem == "singular_value":  # |diag(keep) + diag(gain) V D|_2 <= |keep| + |gain| hi |V|_2
        return norm_at_most(V, bound - max(map(abs, keep)), hi * arb(max(map(abs, gain))))
    if theorem != "absolute_value" or network.rule in ("explicit_euler", "exponential_euler"):
        return False
    # Entrywise bounds of the Jacobian. On the diagonal the worst slope is lo or hi.
    B = arb_mat([[hi * abs(d * v) for v in row] for d, row in zip(gain, V.tolist(), strict=True)])
    for i, (c, d) in enumerate(zip(keep, gain, strict=True)):
        low, high = (c + d * (V[i, i] * slope) for slope in (lo, hi))
        B[i, i] = low.max(high) if network.rule == "flow" else abs(low).max(abs(high))
    return measure_at_most(B, bound) if network.rule == "flow" else norm_at_most(B, bound)


def _claim_follows(
    network: Network, module: RateModule, value: arb, norms: Any, bound: arb
) -> bool:
    """`value + defect <= (leak - bound) / time_constant`; `offset + amplify bound <= value`."""
    if network.rule == "flow":
        return (value + sum(norms)) * module.time_constant <= module.leak - bound
    offset, amplify = norms[0] if network.rule.endswith("_euler") else 0, ([1] + norms)[-1]
    if network.rule == "explicit_euler":
        amplify = arb(max(map(abs, network.tensors["gain"].values[module.units])))
    return offset + amplify * bound <= value


def _prove_vertices(document: dict[str, Any], network: Network, value: arb, rate: arb) -> None:
    """`M > 0`, `sym(M J) + rate M < 0` at all corners of D, thus everywhere: J is affine in D."""
    module, n = network.modules[0], len(network.keep)
    require(network.rule == "flow" and n <= 10, "vertices is for flows of at most 10 units")
    M = read_form(document, network)
    W, spare, side = module.weight.values, module.leak - rate * module.time_constant, range(n)
    for D in product(set(ACTIVATIONS[module.activation][:2]), repeat=n):
        slopes = [D[j if module.form == "hopfield" else i] for i in side for j in side]
        MJ = M * arb_mat(n, n, [arb(w) * d for w, d in zip(W, slopes, strict=True)])
        proved = is_positive_definite(M * spare - (MJ + MJ.transpose()) / 2)
        require(proved and value <= rate, "the rate of vertices is not established")
