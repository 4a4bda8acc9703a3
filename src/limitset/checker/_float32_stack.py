"""Float32 in stacks and recurrences: every layer in a ball of its own, every unit in a disc.

Layer k of two runs obeys `d_k <- f_k d_k + beta_k sum_(j<k) r_j d_j + 2 e_k`, with the numbers of
the theorem and the rounding `e_k` of the layer and of the stream below it. A part of `d` that
starts with the runs shrinks with the factor of the whole; what rounding feeds has a fixed point.
"""

from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._contraction import read_scale, read_value
from limitset.checker._document import Tensor, require, take, take_list, take_real, take_tensor
from limitset.checker._float32_gated import affine, entered
from limitset.checker._float32_step import prove_ball, read_gauge
from limitset.checker._network import ACTIVATIONS, Network
from limitset.checker._size import (
    Inputs,
    Rounding,
    error_of,
    lost,
    max_of,
    require_finite,
    root,
    share_lost,
)
from limitset.checker._stack import Relay


class _Layer(NamedTuple):
    """Of one layer: a ball of starts, bounds of its state, the error of a step, and what two runs
    keep apart: by rounding, and for each unit by which their inputs differ.
    """

    start: arb
    entries: list[arb]
    norm: arb
    rounding: arb
    gap: arb
    response: arb
    scale: tuple[float, ...] | None


class _Joint(NamedTuple):
    """Of a relay: `write`, the steepest slope times `read`, `read` alone, and `beta` above it."""

    write: arb
    read: arb
    steepest: arb
    entry: arb


def prove_layers(
    document: dict[str, Any], network: Network, inputs: Inputs, radius: float, r: Rounding
) -> tuple[arb, arb]:
    """Prove where runs stay from starts within the radius; the error of a step, and the gap."""
    groups = [_reals(group) for group in take_list(document["float32"]["radii"])]
    if network.family == "diagonal":
        require(len(groups) == 1, "float32: the radii do not fit the network")
        layer = _discs(document, network, inputs, groups[0], r)
        require(bool(radius <= layer.start), "float32: starts may lie outside a disc")
        return layer.rounding, layer.gap
    layers, relays = network.parts
    _, metrics, weights = take(document["metric"], "kind parts weights")
    entries, found = take(document["witness"], "parts joints")
    require(len(groups) == len(layers), "float32: the radii do not fit the network")
    joints = [_read_joint(joint, relay) for joint, relay in zip(found, relays, strict=True)]
    embedding, bias = network.tensors["embedding"], network.tensors["embedding_bias"]
    stream = _stream(*affine(embedding, bias, inputs, r))
    proved: list[_Layer] = []
    for k, (layer, metric, part) in enumerate(zip(layers, metrics, entries, strict=True)):
        inner = {**part, "metric": metric}
        entry = joints[k - 1].entry if k else arb(1)
        proved.append(_prove_layer(inner, layer, stream, groups[k], entry, r))
        if k < len(relays):
            tensors = {n: network.tensors[f"relay_{k}.{n}"] for n in ("read", "bias", "write")}
            stream = _relayed(tensors, relays[k], proved[k], joints[k], stream, r)
    scales = list(map(arb, take_tensor(weights).values))
    inside = all(radius <= w * layer.start for w, layer in zip(scales, proved, strict=True))
    require(inside, "float32: starts may lie outside a ball")
    errors = _accumulated([layer.rounding for layer in proved], joints, None)
    gaps = _accumulated([p.gap for p in proved], joints, [p.response for p in proved])
    erred, apart = (
        max_of([w * x for w, x in zip(scales, part, strict=True)]) for part in (errors, gaps)
    )
    return erred, apart


def _reals(group: Any) -> list[float]:
    radii = [take_real(entry) for entry in take_list(group)]
    require(len(radii) > 0 and min(radii) > 0, "float32: a radius is missing, or is not positive")
    return radii


def _read_joint(joint: Any, relay: Relay) -> _Joint:
    bounds = take(joint, "write read response drive")
    write, read, response, drive = (arb(take_real(bound)) for bound in bounds)
    return _Joint(write, read, arb(ACTIVATIONS[relay.activation][1]), response * drive)


def _accumulated(own: list[arb], joints: list[_Joint], responses: list[arb] | None) -> list[arb]:
    """`own_k + response_k sum_(j<k) r_j (what layer j has)`; `beta_k` if none are given."""
    found, passed = [own[0]], arb(0)
    for k, joint in enumerate(joints, 1):
        passed += joint.write * joint.steepest * joint.read * found[-1]
        found.append(own[k] + (responses[k] if responses else joint.entry) * passed)
    return found


def _prove_layer(
    inner: dict[str, Any],
    layer: Network,
    stream: Inputs,
    radii: list[float],
    entry: arb,
    r: Rounding,
) -> _Layer:
    if layer.family == layer.rule == "diagonal":
        return _discs(inner, layer, stream, radii, r)
    require(len(radii) == 1, "float32: the radii do not fit the network")
    radius, gauge = arb(radii[0]), read_gauge(inner, layer)
    rounding = prove_ball(inner, layer, stream, radii[0], r)
    rest = 1 - read_value(inner, layer)
    entries = [reach * radius for reach in gauge.reach]
    numbers = (rounding, 2 * rounding / rest, entry / rest)
    return _Layer(radius, entries, radius, *numbers, gauge.scale)


def _discs(
    inner: dict[str, Any], layer: Network, stream: Inputs, radii: list[float], r: Rounding
) -> _Layer:
    """Prove that no unit leaves its disc `|z_i| <= rho_i`."""
    scale, tensors, m = read_scale(inner, layer), layer.tensors, len(stream.entries)
    n = len(scale) // 2
    require(len(radii) == n, "float32: the radii do not fit the network")
    pushed, wrong = entered(tensors["input_weight"], tensors["bias"], stream)
    weights, share = tensors["input_weight"].values, share_lost(m + 6, r)
    errors, gaps, answers = [], [], []
    for i in range(n):
        a, b = (arb(tensors[name].values[i]) for name in ("real", "imaginary"))
        both, rho = abs(a) + abs(b), arb(radii[i])
        modulus = root(a * a + b * b)
        rows = [[arb(w) for w in weights[j * m : (j + 1) * m]] for j in (i, n + i)]
        factors = sum(map(abs, rows[0] + rows[1]), sum(stream.entries, both + 2 * rho))
        flushed = lost(m + 6, factors, r)
        parts = [wrong[j] + (both * rho + pushed[j]) * share + flushed for j in (i, n + i)]
        require_finite([both * rho + pushed[j] + e for j, e in zip((i, n + i), parts, strict=True)])
        erred = root(parts[0] * parts[0] + parts[1] * parts[1])
        driven = root(pushed[i] * pushed[i] + pushed[n + i] * pushed[n + i])
        stays = modulus < 1 and modulus * rho + driven + erred <= rho
        require(bool(stays), f"float32: unit {i} may leave its disc")
        square = sum((w * w for row in rows for w in row), arb(0))
        errors.append(scale[i] * erred)
        gaps.append(2 * scale[i] * erred / (1 - modulus))
        answers.append(scale[i] * root(square) / (1 - modulus))
    sizes = [s * arb(rho) for s, rho in zip(scale, radii, strict=False)]
    start = -max_of([-size for size in sizes])
    norm, erred, gap, answer = (_length(part) for part in (sizes, errors, gaps, answers))
    return _Layer(start, list(map(arb, radii + radii)), norm, erred, gap, answer, scale)


def _length(vector: list[arb]) -> arb:
    return root(sum((x * x for x in vector), arb(0)))


def _stream(sizes: list[arb], errors: list[arb]) -> Inputs:
    require_finite([a + b for a, b in zip(sizes, errors, strict=True)])
    return Inputs([a + b for a, b in zip(sizes, errors, strict=True)], errors)


def _relayed(
    tensors: dict[str, Tensor],
    relay: Relay,
    below: _Layer,
    joint: _Joint,
    stream: Inputs,
    r: Rounding,
) -> Inputs:
    """The stream above a relay, `z + write phi(read x + bias)`, and its error."""
    bias = [abs(arb(b)) for b in tensors["bias"].values]
    hidden, n = len(bias), len(below.entries)
    _, steepest, supremum, still = ACTIVATIONS[relay.activation]
    values, errors = [], []
    read = arb_mat(hidden, n, [abs(x) for x in tensors["read"].values]) if hidden else arb_mat(0, n)
    for row, b in zip(read.tolist(), bias, strict=True):
        argument = _entering(row, below) + b
        factors = sum(row, sum(below.entries, arb(0)))
        slip = argument * share_lost(n + 2, r) + lost(n + 2, factors, r)
        require_finite([argument + slip])
        value = (steepest * (argument + slip) + still).min(arb(supremum))
        values.append(value)
        errors.append(steepest * slip + value * error_of(relay.activation, r) + r.underflow)
    # All of them together: what is read has a norm.
    whole = steepest * (joint.read * below.norm + _length(bias)) + _length([arb(still)] * hidden)
    alone = _length(values)
    whole = whole if whole < alone else alone
    sizes, wrong, entering = [], [], sum(values, sum(errors, arb(0)))
    for i, (size, error) in enumerate(zip(*stream, strict=True)):
        row = [abs(arb(w)) for w in tensors["write"].values[i * hidden : (i + 1) * hidden]]
        added = sum((w * v for w, v in zip(row, values, strict=True)), arb(0))
        by_norm = _length(row) * whole
        added = by_norm if by_norm < added else added
        carried = error + sum((w * e for w, e in zip(row, errors, strict=True)), arb(0))
        size = size + added + carried
        sizes.append(size)
        wrong.append(carried + size * share_lost(hidden + 3, r)
                     + lost(hidden + 3, sum(row, entering), r))  # fmt: skip
    return _stream(sizes, wrong)


def _entering(row: list[arb], below: _Layer) -> arb:
    """`|row| |x|` in the ball: from entries, or from the norm."""
    by_entries = sum((y * x for y, x in zip(row, below.entries, strict=True)), arb(0))
    if below.scale is None:
        return by_entries
    scaled = [y / arb(s) for y, s in zip(row, below.scale, strict=True)]
    by_norm = _length(scaled) * below.norm
    return by_norm if by_norm < by_entries else by_entries
