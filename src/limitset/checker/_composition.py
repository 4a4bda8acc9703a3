"""Composites: parts that are proved one by one, then the coupling or the mixing between them.

`composition`: in `M = blkdiag(k_i M_i)`, `sym(M L) <= blkdiag((s_i rate_i - rate) k_i M_i)`, or
`|C blkdiag(factor_i I)|_M <= factor`. `small_gain`: in `max_i w_i |x_i|_i`, what a part loses is at
least what its own coupling and the gains of all others on it can add.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite, measure_at_most, norm_at_most
from limitset.checker._contraction import read_value
from limitset.checker._document import (
    NotProved,
    Tensor,
    require,
    take,
    take_list,
    take_tensor,
)
from limitset.checker._network import MAX_UNITS, Network, input_count
from limitset.checker._norms import (
    Norm,
    gain_upper,
    measure_is_at_most,
    read_norm,
    read_quadratic,
)

Prove = Callable[[dict[str, Any], Network], None]
_DEPTH, _MOST, _MOST_DIAGONAL, _MOST_PARTS = 16, 512, 1024, 256


class Wiring(NamedTuple):
    """Parts, the matrix between them as stored, and the parts' speeds."""

    parts: list[Network]
    matrix: Tensor
    speeds: tuple[float, ...]


def read_composite(value: Any, read: Callable[[Any], Network]) -> Network:
    """The composite, if parts and tensors are exactly those that the configuration calls for."""
    config, entries = take(value, "config tensors")
    _, time, configs, rule = take(config, "kind time parts discretisation")
    require(time in ("continuous", "discrete") and rule is None, "the composite's time is unknown")
    require(isinstance(entries, dict) and _depth(config) <= _DEPTH, "the composite is too deep")
    require(0 < len(take_list(configs)) <= _MOST_PARTS, "the composite has no parts, or too many")
    is_flow = time == "continuous"
    own = {name: entries[name] for name in entries if "." not in name}
    groups: dict[str, dict[str, Any]] = {f"part_{index}": {} for index in range(len(configs))}
    for name in entries.keys() - own.keys():
        head, _, tail = name.partition(".")
        require(head in groups, "a tensor belongs to no part of the composite")
        groups[head][tail] = entries[name]
    parts, tensors = [], {name: take_tensor(entry) for name, entry in own.items()}
    for index, (part, group) in enumerate(zip(configs, groups.values(), strict=True)):
        parts.append(read({"config": part, "tensors": group}))
        require((parts[-1].rule == "flow") == is_flow, "a part has another time than the whole")
        tensors |= {f"part_{index}.{name}": t for name, t in parts[-1].tensors.items()}
    require(len({input_count(part) for part in parts}) == 1, "the parts have other inputs")
    n = sum(len(part.keep) for part in parts)
    require(n <= MAX_UNITS, f"the composite has over {MAX_UNITS} states")
    shapes = {"coupling": (n, n), "speeds": (len(parts),)} if is_flow else {"mixing": (n, n)}
    fits = {name: tensors[name].shape for name in own} == shapes
    require(fits, "the tensors are not those, in name and shape, that the configuration needs")
    require(min(tensors["speeds"].values) > 0 if is_flow else True, "a speed is not positive")
    rule = "flow" if is_flow else "mixing"
    return Network(rule, [], tensors, (0.0,) * n, (1.0,) * n, "composite", "", tuple(parts))


def prove_composition(document: dict[str, Any], network: Network, prove: Prove) -> None:
    """Prove the parts, then the inequality in the weighted sum of their squares."""
    wiring, value, is_flow = read_wiring(network), _value(document, network), network.rule == "flow"
    kind, metrics, _ = _blocks(document, wiring)
    require(kind == "block", "composition needs a block metric")
    bounds = _prove_parts(document, network, wiring, metrics, prove)
    n = len(network.keep)
    own = [b for b, part in zip(bounds, wiring.parts, strict=True) for _ in part.keep]
    scale, M = read_quadratic(document["metric"], n)
    if scale is not None:
        require(n <= _MOST_DIAGONAL, f"composition is checked for at most {_MOST_DIAGONAL} states")
        inverse = [1 / s for s in scale]
        # Of what the coupling does not touch, nothing is lost to rounding: 0 stays 0.
        entries = [
            arb(x) if x == 0 else scale[i // n] * x * inverse[i % n]
            for i, x in enumerate(wiring.matrix.values)
        ]
        if is_flow:
            for i, bound in enumerate(own):
                entries[i * n + i] += value - bound
            proved = measure_at_most(arb_mat(n, n, entries), arb(0))
        else:
            factors = [x * own[i % n] for i, x in enumerate(entries)]
            proved = norm_at_most(arb_mat(n, n, factors), value)
    else:
        require(M is not None and n <= _MOST, f"composition is checked for at most {_MOST} states")
        proved = M is not None and _holds(M, wiring, own, value, is_flow)
    require(bool(proved), f"the {'coupling' if is_flow else 'mixing'} is not paid for by the parts")


def _holds(M: arb_mat, wiring: Wiring, own: list[arb], value: arb, is_flow: bool) -> bool:
    """Whether the inequality is certain, for a metric with matrices."""
    n = M.nrows()
    X, rows = arb_mat(n, n, wiring.matrix.values), M.tolist()
    if is_flow:
        MX = M * X
        # Blocks of M belong to one part, whose entries of `own` are equal.
        left = arb_mat([[(own[i] - value) * x for x in row] for i, row in enumerate(rows)])
        return is_positive_definite(left - (MX + MX.transpose()) / 2)
    moved = arb_mat([[x * own[j] for j, x in enumerate(row)] for row in X.tolist()])
    return is_positive_definite(M * (value * value) - moved.transpose() * M * moved)


def prove_small_gain(document: dict[str, Any], network: Network, prove: Prove) -> None:
    """Prove the parts, then that their losses pay for all gains, in the maximum of their norms."""
    wiring, value, is_flow = read_wiring(network), _value(document, network), network.rule == "flow"
    kind, metrics, weights = _blocks(document, wiring)
    require(kind == "block_maximum", "small_gain needs a maximum of blocks")
    require(len(network.keep) <= _MOST, f"small_gain is checked for at most {_MOST} states")
    bounds = _prove_parts(document, network, wiring, metrics, prove)
    norms: list[Norm] = []
    for metric, part in zip(metrics, wiring.parts, strict=True):
        norms.append(read_norm(metric, len(part.keep)))
    blocks = _split(wiring)
    for i, (norm, bound) in enumerate(zip(norms, bounds, strict=True)):
        others = [j for j in range(len(norms)) if not (is_flow and j == i)]
        total = arb(0)
        for j in others:
            share = arb(weights[i]) / weights[j] * (1 if is_flow else bounds[j])
            total += gain_upper(norm, norms[j], blocks[i][j]) * share
        if is_flow:
            proved = measure_is_at_most(norm, blocks[i][i], bound - value - total)
        else:
            proved = bool(total <= value)
        require(proved, f"part {i}: the gains on it are not paid for")


def read_wiring(network: Network) -> Wiring:
    """Parts and matrix of a composite, an assembly, or a map of one with split coupling."""
    tensors, rule = network.tensors, network.rule
    if network.family == "composite" and rule in ("flow", "mixing"):
        parts = list(network.parts)
        if rule == "flow":
            return Wiring(parts, tensors["coupling"], tensors["speeds"].values)
        return Wiring(parts, tensors["mixing"], (1.0,) * len(parts))
    name = {"flow": "coupling", "split": "propagator"}.get(rule, "")
    fits = network.family == "layers" and name in tensors
    require(fits, "the theorem is about composites, assemblies and their maps")
    parts = []
    for module in network.modules:
        k = module.weight.shape[0]
        keep, gain = network.keep[module.units], network.gain[module.units]
        own = "flow" if rule == "flow" else "unit"
        parts.append(Network(own, [module._replace(units=slice(0, k))], {}, keep, gain))
    return Wiring(parts, tensors[name], (1.0,) * len(parts))


def _value(document: dict[str, Any], network: Network) -> arb:
    value = read_value(document, network)
    fits = value > 0 if network.rule == "flow" else value >= 0 and value < 1
    require(bool(fits), "no rate > 0, no factor in [0, 1)")
    return value


def _blocks(document: dict[str, Any], wiring: Wiring) -> tuple[Any, list[Any], tuple[float, ...]]:
    """The kind of the metric, the metrics of the parts, and their weights."""
    kind, metrics, entry = take(document["metric"], "kind parts weights")
    weights, count = take_tensor(entry), len(wiring.parts)
    fits = len(take_list(metrics)) == count
    fits = fits and (weights.dtype, weights.shape) == ("float64", (count,))
    require(fits and min(weights.values) > 0, "the metric does not fit the parts")
    return kind, metrics, weights.values


def _prove_parts(
    document: dict[str, Any], network: Network, wiring: Wiring, metrics: list[Any], prove: Prove
) -> list[arb]:
    """`speed_i rate_i`, or the factors, after proving each part's own claim."""
    (entries,) = take(document["witness"], "parts")
    require(len(take_list(entries)) == len(wiring.parts), "the witness does not fit the parts")
    bounds = []
    rows = zip(wiring.parts, metrics, entries, wiring.speeds, strict=True)
    for index, (part, metric, entry, speed) in enumerate(rows):
        theorem, claim, witness = take(entry, "theorem claim witness")
        inner = {"theorem": theorem, "claim": claim, "witness": witness, "metric": metric}
        try:
            prove(inner, part)
        except NotProved as problem:
            raise NotProved(f"part {index}: {problem}") from problem
        bounds.append(_value(inner, part) * arb(speed))
    return bounds


def _split(wiring: Wiring) -> list[list[arb_mat]]:
    """The blocks of the matrix."""
    n, ends = wiring.matrix.shape[0], [0]
    for part in wiring.parts:
        ends.append(ends[-1] + len(part.keep))
    rows = [wiring.matrix.values[i * n : (i + 1) * n] for i in range(n)]
    places = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]
    return [[arb_mat([row[j] for row in rows[i]]) for j in places] for i in places]


def _depth(config: Any) -> int:
    """How many composites stand within one another; found without recursion."""
    depth, level = 0, [config]
    while level and depth <= _DEPTH:
        depth += 1
        parts = [c.get("parts") for c in level if isinstance(c, dict)]
        level = [part for some in parts if isinstance(some, list) for part in some]
    return depth
