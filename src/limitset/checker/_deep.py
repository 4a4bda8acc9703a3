"""The statements `block`, `network` and `radius`, about blocks of deep networks and chains of them.

Through a stage of depth K a change w of its input becomes at most
`|exit| (gain(K) |w| + transient factor^K |start| |w|)`, and the stages multiply. Every input closer
than the margin of two scores over `|w_c - w_j|` and the product keeps its class.
"""

from functools import reduce
from typing import Any

from flint import arb, ctx

from limitset.checker._block_claim import BlockClaim, maximum_norm, read_claim
from limitset.checker._block_rows import prove_rows
from limitset.checker._block_symmetric import Spectrum, prove_gradient, prove_symmetric
from limitset.checker._blocks import Block, Stage
from limitset.checker._document import require, take, take_list, take_real, take_tensor
from limitset.checker._forward import run
from limitset.checker._network import Network
from limitset.checker._operator_norms import norm_at_most
from limitset.checker._operators import Operator, Vector

NETWORK = "euclidean maximum"
RADIUS = "input class low high euclidean maximum"
_KINDS = {
    "row_sum": ("nais_dense", "nais_conv"),
    "symmetric": ("nais_dense", "nais_conv"),
    "equilibrium": ("equilibrium_block",),
    "gradient": ("gradient_block",),
}
# Bits that one step of depth may cost, and the most of them.
_BITS, _MOST_BITS = 8, 2**13


def prove_block(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(network.family == "block", "this statement is about one block")
    proof = {name: document[name] for name in ("theorem", "claim", "metric", "witness")}
    _prove_block(proof, network.parts[0])


def _prove_block(proof: Any, block: Block) -> BlockClaim:
    theorem, given, metric, witness = take(proof, "theorem claim metric witness")
    known = theorem in tuple(_KINDS) and block.kind in _KINDS[theorem]
    require(known, "the theorem is unknown, or about blocks of another kind")
    claim = read_claim(given)
    if theorem in ("row_sum", "equilibrium"):
        require(witness is None, "sums of rows need no witness")
        prove_rows(block, claim, _read_scale(metric, block))
        return claim
    require(metric is None, "the metric of this theorem is that of the weights")
    spectra = [_read_spectrum(pair) for pair in take_list(take(witness, "spectra")[0])]
    (prove_symmetric if theorem == "symmetric" else prove_gradient)(block, claim, spectra)
    return claim


def _read_scale(metric: Any, block: Block) -> Vector:
    kind, entry = take(metric, "kind scale")
    scale = take_tensor(entry)
    fits = kind == "maximum" and (scale.dtype, scale.shape) == ("float64", (block.states,))
    require(fits and min(scale.values) > 0, "the metric is not a positive scale of each state")
    return list(map(arb, scale.values))


def _read_spectrum(value: Any) -> Spectrum:
    require(len(take_list(value)) == 2, "a spectrum needs two ends")
    low, high = (arb(take_real(end)) for end in value)
    require(bool(low >= 0 and low <= high), "a spectrum is empty, or not positive")
    return low, high


def prove_network(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "chain", "the theorem is unknown")
    _prove_chain(document["claim"], document["witness"], network)


def _prove_chain(claim: Any, witness: Any, network: Network) -> dict[str, arb | None]:
    """The Lipschitz bounds from the input to the last state, proved."""
    require(network.family == "deep", "this statement is about deep networks")
    stages = network.parts[0]
    entries = take_list(take(witness, "stages")[0])
    require(len(entries) == len(stages), "every stage needs a proof")
    gains = {
        name: _gain(value)
        for name, value in zip(NETWORK.split(), take(claim, NETWORK), strict=True)
    }
    totals = {name: arb(1) for name in gains}
    for stage, entry in zip(stages, entries, strict=True):
        block, start, leaving = take(entry, "block start exit")
        proved = _prove_block(block, stage.block)
        norms = [
            _read_norm(op, given) for op, given in ((stage.start, start), (stage.exit, leaving))
        ]
        for name, total in totals.items():
            totals[name] = total * _stage_gain(stage, proved, norms, name)
    for name, gain in gains.items():
        fits = gain is None or totals[name] <= gain
        require(bool(fits), f"the {name} gain of the network is not established")
    return gains


def _gain(value: Any) -> arb | None:
    if value is None:
        return None
    number = take_real(value)
    require(number >= 0, "a gain is negative")
    return arb(number)


def _read_norm(operator: Operator | None, value: Any) -> arb | None:
    """A bound of the 2-norm of an operator between stages, proved."""
    require((operator is None) == (value is None), "a norm does not fit the stage")
    if operator is None:
        return None
    bound = arb(take_real(value))
    require(norm_at_most(operator, bound), "the norm of a start or exit is too small")
    return bound


def _stage_gain(stage: Stage, claim: BlockClaim, norms: list[arb | None], name: str) -> arb:
    """What a stage makes of a change of its input; infinite where nothing is known."""
    sizes = [
        norm if name == "euclidean" or op is None else maximum_norm(op)
        for op, norm in zip((stage.start, stage.exit), norms, strict=True)
    ]
    transient, whole = claim.norms[name][2], arb(0)
    if stage.block.inputs > 0:
        whole = _held_gain(claim, stage.depth, name)
    if sizes[0] is not None:
        if transient is None:
            return arb("inf")
        whole += transient * claim.factor**stage.depth * sizes[0]
    return whole if sizes[1] is None else sizes[1] * whole


def _held_gain(claim: BlockClaim, depth: int, name: str) -> arb:
    """The least of the gain at every depth, what the steps add one by one, and the root push."""
    gain, push, transient = claim.norms[name]
    bounds = [arb("inf")] if gain is None else [gain]
    if push is not None and (transient is not None or depth == 1):
        carried = sum((claim.factor**k for k in range(1, depth)), arb(0))
        bounds.append(push * (1 + (carried * transient if transient is not None else 0)))
    if name == "euclidean" and claim.root_push is not None:
        bounds.append(claim.root_push * arb(depth).sqrt())
    return reduce(arb.min, bounds)


def prove_radius(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "margin", "the theorem is unknown")
    chain, witness = take(document["witness"], "gains stages")
    gains = _prove_chain(chain, {"stages": witness}, network)
    stages, weight, bias = network.parts
    given, label, low, high, *radii = take(document["claim"], RADIUS)
    tensor, ends = take_tensor(given), [take_tensor(end) for end in (low, high)]
    width = stages[0].block.inputs if stages[0].start is None else stages[0].start.inputs
    count = len(bias)
    fits = tensor.shape == (width,) and all(end.shape == (count,) for end in ends)
    require(fits and count > 1, "the input or the scores do not fit the network")
    require(type(label) is int and 0 <= label < count, "the class is none of the network's")
    bits = min(_BITS * sum(stage.depth for stage in stages), _MOST_BITS)
    with ctx.workprec(ctx.prec + bits):
        scores = run(stages, weight, bias, list(map(arb, tensor.values)))
    for score, least, most in zip(scores, ends[0].values, ends[1].values, strict=True):
        require(bool(score >= least and score <= most), "a score is not where it is claimed")
    _check_radii(scores, weight.tolist(), label, gains, [arb(take_real(r)) for r in radii], width)


def _check_radii(
    scores: Vector,
    rows: list[list[arb]],
    label: int,
    gains: dict[str, arb | None],
    radii: list[arb],
    width: int,
) -> None:
    """`radius |w_c - w_j| gain <= y_c - y_j` for all other classes j, in one norm or the other."""
    euclidean, maximum = radii
    require(bool(euclidean >= 0 and maximum >= 0), "a radius is negative")
    # In a ball of the 2-norm the maximum norm is at most the radius; the other way it takes a root.
    for radius, scale in ((euclidean, arb(1)), (maximum, arb(width).sqrt())):
        by_norm = []
        for name, size in (("euclidean", scale * radius), ("maximum", radius)):
            gain = gains[name]
            by_norm.append(gain is not None and _keeps(scores, rows, label, gain * size, name))
        require(radius == 0 or any(by_norm), "a radius is not established")


def _keeps(scores: Vector, rows: list[list[arb]], label: int, moved: arb, name: str) -> bool:
    """Whether no other score can reach that of the class, if the last state moves so far."""
    for j, row in enumerate(rows):
        if j != label:
            gaps = [abs(a - b) for a, b in zip(rows[label], row, strict=True)]
            sums = (
                sum((g * g for g in gaps), arb(0)).sqrt()
                if name == "euclidean"
                else sum(gaps, arb(0))
            )
            margin = scores[label] - scores[j]
            if not (margin > 0 and moved * sums <= margin):
                return False
    return True
