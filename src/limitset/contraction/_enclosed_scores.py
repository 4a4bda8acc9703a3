"""Scores of a deep network, enclosed: what exact arithmetic on the stored weights would give."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.contraction._block_certificate import BlockCertificate, transient_gain
from limitset.contraction._network_certificate import (
    NetworkCertificate,
    operator_norm,
    stage_gain,
)
from limitset.contraction._operator_balls import apply_adjoint, apply_operator, widest
from limitset.contraction._operator_bounds import exact
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    EquilibriumBlock,
    GradientBlock,
    ResidualBlock,
    Stage,
    UntiedBlock,
    block_at,
)
from limitset.proofs import Ball, ball_sum, enclose

Columns = Float[np.ndarray, "n b"]
Errors = Float[np.ndarray, " b"]

# Numbers of one operator's patches that are in memory at once.
_CHUNK = 2**23


def enclose_scores(certificate: NetworkCertificate, inputs: Float[np.ndarray, "b m"]) -> Ball:
    """The scores of a certified deep network for each input, enclosed.

    Balls that are carried from step to step would widen exponentially. Here the run is one of
    points, `x~`, and every step is enclosed at its point: what it misses, `d_k`, is carried on by
    the block's own certificate, `|x_K - x~_K| <= transient sum_k |d_k|`, and from stage to stage
    by their gains.

    **Arguments:** `certificate`, from `certify_network`; `inputs`, float32 or float64, finite.

    **Returns:** a ball of shape (inputs, scores), radii some 1e-9 for a hundred units.

    **Raises:** `InputProblem` for inputs of another shape or dtype, or not finite.

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify_network
    >>> from limitset.networks import DeepNetwork, DenseOperator, LinearReadout, ResidualBlock
    >>> half = DenseOperator(jnp.array([[-0.5]]))
    >>> block = ResidualBlock(half, half, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> network = DeepNetwork((Stage(block, 2),), LinearReadout(jnp.ones((1, 1)), jnp.zeros(1)))
    >>> scores = enclose_scores(certify_network(network), np.array([[-1.0]]))
    >>> float(scores.mid[0, 0]), bool(scores.rad[0, 0] < 1e-14)
    (0.75, True)
    """
    if not isinstance(certificate, NetworkCertificate):
        raise InputProblem(
            f"{type(certificate).__name__} came; give a certificate from certify_network"
        )
    given = np.asarray(inputs)
    width = certificate.network.input_size
    if given.ndim != 2 or given.shape[1] != width or given.dtype not in (np.float32, np.float64):
        raise InputProblem(
            f"inputs have shape {given.shape} and dtype {given.dtype}; give (inputs, {width}) of "
            "float32 or float64"
        )
    if not np.isfinite(given).all():
        raise InputProblem("inputs hold NaN or infinity; give finite numbers")
    size = max(1, _CHUNK // _widest(certificate))
    programs = [_activation_of(stage.block) for stage in certificate.network.stages]
    pieces = [
        _scores(certificate, np.asarray(given[start : start + size], np.float64).T, programs)
        for start in range(0, len(given), size)
    ]
    if not pieces:
        return Ball.exact(np.zeros((0, certificate.network.output_size)))
    return Ball.moved(lambda *parts: np.concatenate(parts), *pieces)


@dataclass(frozen=True)
class _Reached:
    """States as columns, and how far each may be from the exact one, in both norms."""

    states: Columns
    euclidean: Errors
    maximum: Errors


def _scores(
    certificate: NetworkCertificate, u: Columns, programs: list[Callable[[Ball], Ball]]
) -> Ball:
    reached = _Reached(u, np.zeros(u.shape[1]), np.zeros(u.shape[1]))
    stages = zip(certificate.network.stages, certificate.blocks, programs, strict=True)
    for stage, block, activation in stages:
        reached = _through(stage, block, reached, activation)
    readout = certificate.network.readout
    weight = exact(readout.weight)
    scores = weight @ reached.states + exact(readout.bias).reshape(-1, 1)
    rows = Ball.exact(np.abs(weight.mid))
    lengths = ball_sum(rows * rows, axis=1).upper()
    euclidean = Ball.exact(lengths).sqrt().reshape(-1, 1) * reached.euclidean
    maximum = ball_sum(rows, axis=1).reshape(-1, 1) * reached.maximum
    missed = np.minimum(euclidean.upper(), maximum.upper())
    known = np.isfinite(missed)
    spread = Ball(np.zeros(scores.shape), np.where(known, missed, np.inf))
    return (scores + spread).T


def _through(
    stage: Stage, certificate: BlockCertificate, given: _Reached, activation: Callable[[Ball], Ball]
) -> _Reached:
    block, columns = stage.block, given.states.shape[1]
    entering = given.states if block.input_size else np.zeros((0, columns))
    missed = [np.zeros(columns), np.zeros(columns)]
    states = np.zeros((block.state_size, columns))
    if stage.start is not None:
        states = _settle(apply_operator(stage.start, Ball.exact(given.states)), missed)
    driven: list[Ball] = []
    for n in range(stage.depth):
        layer = (
            block
            if not isinstance(block, UntiedBlock)
            else block_at(block, min(n, block.depth - 1))
        )
        if not driven or isinstance(block, UntiedBlock):
            driven = [_entering(layer, entering)]
        states = _settle(_step(layer, Ball.exact(states), driven[0], activation), missed)
    # All that was missed is carried by the block, to the end at most.
    for k, norm in enumerate(("euclidean", "maximum")):
        carried = transient_gain(certificate, 0, norm)
        missed[k] = _times(missed[k], carried)
    if stage.exit is not None:
        missed = [
            _times(missed[0], operator_norm(stage.exit, "euclidean")),
            _times(missed[1], operator_norm(stage.exit, "maximum")),
        ]
        states = _settle(apply_operator(stage.exit, Ball.exact(states)), missed)
    euclidean = _times(given.euclidean, stage_gain(stage, certificate, "euclidean"))
    maximum = _times(given.maximum, stage_gain(stage, certificate, "maximum"))
    return _joined(states, _plus(missed[0], euclidean), _plus(missed[1], maximum))


def _settle(image: Ball, missed: list[Errors]) -> Columns:
    """The midpoints; what they miss is added."""
    radii = np.where(np.isfinite(image.rad), image.rad, 0.0)
    unknown = np.isinf(image.rad).any(axis=0)
    squares = ball_sum(Ball.exact(radii) * Ball.exact(radii), axis=0)
    lengths = Ball.exact(np.maximum(squares.upper(), 0.0)).sqrt().upper()
    missed[0] = np.where(unknown, np.inf, _plus(missed[0], lengths))
    missed[1] = np.where(unknown, np.inf, _plus(missed[1], radii.max(axis=0, initial=0.0)))
    return image.mid


def _joined(states: Columns, euclidean: Errors, maximum: Errors) -> _Reached:
    """Each norm bounds the other: `|v|_max <= |v|_2 <= sqrt(n) |v|_max`."""
    root = float(Ball.exact(float(len(states))).sqrt().upper())
    return _Reached(
        states,
        np.minimum(euclidean, _times(maximum, root)),
        np.minimum(maximum, euclidean),
    )


def _step(
    layer: AbstractBlock, x: Ball, entering: Ball, activation: Callable[[Ball], Ball]
) -> Ball:
    if isinstance(layer, ResidualBlock):
        moved = activation(apply_operator(layer.state_operator, x) + entering)
        return x + moved * float(layer.step)
    if isinstance(layer, EquilibriumBlock):
        moved = activation(apply_operator(layer.state_operator, x) + entering)
        step = Ball.exact(float(layer.step))
        return x * (1 - step) + moved * step
    if isinstance(layer, GradientBlock):
        pulled = apply_adjoint(
            layer.operator, activation(apply_operator(layer.operator, x) + entering)
        )
        step = Ball.exact(float(layer.step))
        return x * (1 - step * float(layer.leak)) - pulled * step
    raise TypeError(f"no enclosure of a {type(layer).__name__}")


def _entering(layer: AbstractBlock, u: Columns) -> Ball:
    """`B u + b`, the bias spread over its channels."""
    operator, bias, size = _drive_of(layer)
    spread = exact(np.repeat(bias, size // len(bias))).reshape(-1, 1)
    if operator is None:
        return Ball.moved(lambda a: np.broadcast_to(a, (size, u.shape[1])), spread)
    return apply_operator(operator, Ball.exact(u)) + spread


def _drive_of(
    layer: AbstractBlock,
) -> tuple[AbstractOperator | None, Float[np.ndarray, " c"], int]:
    if isinstance(layer, GradientBlock):
        return layer.input_operator, np.asarray(layer.bias), layer.operator.output_size
    if isinstance(layer, ResidualBlock | EquilibriumBlock):
        return layer.input_operator, np.asarray(layer.bias), layer.state_size
    raise TypeError(f"no enclosure of a {type(layer).__name__}")


def _activation_of(block: AbstractBlock) -> Callable[[Ball], Ball]:
    layer = block.layers if isinstance(block, UntiedBlock) else block
    if not isinstance(layer, ResidualBlock | EquilibriumBlock | GradientBlock):
        raise TypeError(f"no enclosure of a {type(layer).__name__}")
    return enclose(layer.activation.function)


def _widest(certificate: NetworkCertificate) -> int:
    sizes = [certificate.network.input_size]
    for stage in certificate.network.stages:
        block = stage.block
        layer = block_at(block, 0) if isinstance(block, UntiedBlock) else block
        operators = [stage.start, stage.exit, _drive_of(layer)[0]]
        if isinstance(layer, GradientBlock):
            operators.append(layer.operator)
        elif isinstance(layer, ResidualBlock | EquilibriumBlock):
            operators.append(layer.state_operator)
        sizes.extend(map(widest, operators))
    return max(sizes)


def _plus(a: Errors, b: Errors) -> Errors:
    known = np.isfinite(a) & np.isfinite(b)
    total = Ball.exact(np.where(known, a, 0.0)) + np.where(known, b, 0.0)
    return np.where(known, total.upper(), np.inf)


def _times(errors: Errors, factor: float) -> Errors:
    """Errors times a factor; 0 stays 0."""
    if not np.isfinite(factor):
        return np.where(errors == 0, 0.0, np.inf)
    known = np.isfinite(errors)
    product = Ball.exact(np.where(known, errors, 0.0)) * factor
    return np.where(errors == 0, 0.0, np.where(known, product.upper(), np.inf))
