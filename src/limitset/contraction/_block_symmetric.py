"""Residual blocks in the metric of their own state matrix, and gradient blocks in the 2-norm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from limitset.contraction._block_certificate import BlockCertificate
from limitset.contraction._block_slopes import slope_condition, slopes_of
from limitset.contraction._certificate import Unknown
from limitset.contraction._layer import product_upper
from limitset.contraction._metric import DiagonalMetric
from limitset.contraction._operator_bounds import (
    euclidean_norm,
    maximum_norm,
    operator_matrix,
)
from limitset.contraction._symmetric_form import SymmetricForm, symmetric_form
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    DenseOperator,
    GradientBlock,
    NegativeGram,
    ResidualBlock,
)
from limitset.proofs import Ball, is_positive_definite

# How far above the float optimum a gain is tried, and then again.
_RETREATS = (1e-10, 1e-7, 1e-4)
# The largest matrix that enters the sharper gain.
_LARGEST = 1024


def certify_symmetric(
    block: AbstractBlock, layers: Sequence[ResidualBlock]
) -> BlockCertificate | Unknown:
    """`A = -Lambda P`: `|J|_P <= max(1 - h lo slowest, h hi fastest - 1)` for all slopes.

    `P^(1/2) (I + h D A) P^(-1/2) = I - h P^(1/2) D Lambda P^(1/2)` is symmetric, with eigenvalues
    from `1 - h hi fastest` to `1 - h lo slowest`, where `slowest` and `fastest` bound those of
    `Lambda^(1/2) P Lambda^(1/2)`. No other quadratic metric serves slopes down to 0.

    Of an input `w`: with `ebar = P^-1 Lambda^-1 B w`, each step moves `e - ebar` by J, so
    `|e|_P <= 2 |ebar|_P`. Where K depths have each their own `ebar`, the K bounds add up; K times
    the largest is claimed.

    **Reference:** arXiv 1804.07209; 2302.13452.
    """
    slopes = slopes_of(layers[0].activation)
    if isinstance(slopes, str):
        return Unknown(f"symmetric: {slopes}")
    if not _share_form(layers):
        return Unknown(
            "symmetric: the weights change from depth to depth and P with them; each step is "
            "nonexpansive in a metric of its own, and their products may grow. Share P, or "
            "use row sums or the gradient block, which have one norm for all depths"
        )
    forms = [symmetric_form(layer.state_operator) for layer in layers[:1]]
    if len(layers) > 1:
        forms = [symmetric_form(layer.state_operator) for layer in layers]
    unfit = [form for form in forms if isinstance(form, str)]
    if unfit:
        return Unknown(f"symmetric: {unfit[0]}")
    return _bounded(block, layers, [f for f in forms if not isinstance(f, str)], slopes)


def certify_gradient(
    block: AbstractBlock, layers: Sequence[GradientBlock]
) -> BlockCertificate | Unknown:
    """`J = (1 - h leak) I - h R^T D R`: `|J|_2 <= max(1 - h leak, h (leak + hi |R|^2) - 1)`.

    Of an input `w`, with `g = hi^(1/2) |B|`, `a = 1 - h leak`, `kappa = 2 a - h hi |R|^2`:
    completing the square in `|e+|^2 = |a e - h R^T D (R e + B w)|^2` gives

        |e+|^2 <= a^2 |e|^2 + h a^2 g^2 |w|^2 / kappa,

    so `|e|^2 <= h a^2 g^2 / (kappa (1 - a^2))` at every depth, about `g^2 / (4 leak)` for small
    steps, and `|e|^2 <= K h a^2 g^2 / kappa` after K steps without leak; or the triangle
    inequality, `|e| <= hi |R| |B| / leak`.

    **Reference:** arXiv 2110.12690 for `leak` 0.
    """
    slopes = slopes_of(layers[0].activation)
    if isinstance(slopes, str):
        return Unknown(f"gradient: {slopes}")
    bounds = [_gradient_bounds(layer, slopes[1]) for layer in layers]
    factor = max(max(bound.factor for bound in bounds), 0.0)
    limit = min(bound.step_limit for bound in bounds)
    if not factor <= 1:
        return Unknown(
            f"gradient: step {_steps(layers)} is not certainly at most {limit:.6g}, "
            "2 / (leak + hi |R|^2), and leak 0 or positive"
        )
    size, width = block.state_size, block.input_size
    gain = max(bound.gain for bound in bounds)
    push = max(bound.push for bound in bounds)
    rooted = max(bound.root_push for bound in bounds)
    return BlockCertificate(
        block,
        "gradient",
        DiagonalMetric(jnp.ones(size)),
        min(factor, 1.0),
        gain,
        product_upper(gain, _root(width)),
        limit,
        (
            slope_condition(layers[0].activation),
            "leak >= 0 and step (leak + hi |R|^2) <= 2 at every depth",
            "weights may differ from depth to depth: the norm is the same",
            "exact arithmetic on the stored weights",
        ),
        push,
        product_upper(push, _root(width)),
        1.0,
        _root(size),
        rooted,
        tuple((0.0, bound.norm) for bound in bounds),
    )


@dataclass(frozen=True)
class _GradientBounds:
    """The numbers of one depth of a gradient block."""

    norm: float
    factor: float
    step_limit: float
    gain: float
    push: float
    root_push: float


def _gradient_bounds(layer: GradientBlock, highest: float) -> _GradientBounds:
    step, leak = Ball.exact(float(layer.step)), Ball.exact(float(layer.leak))
    norm = euclidean_norm(layer.operator)
    square = product_upper(highest, norm, norm)
    if not (float(layer.step) > 0 and float(layer.leak) >= 0 and square < math.inf):
        return _GradientBounds(norm, math.inf, 0.0, math.inf, math.inf, math.inf)
    kept, whole = 1 - step * leak, leak + square
    # Step and leak are not negative, so the first is 1 at most, however it is rounded.
    factor = max(min(float(kept.upper()), 1.0), float((step * whole - 1).upper()))
    limit = float((2 / whole).lower()) if whole.lower() > 0 else math.inf
    if layer.input_operator is None:
        return _GradientBounds(norm, factor, limit, 0.0, 0.0, 0.0)
    entering = euclidean_norm(layer.input_operator)
    push = product_upper(float(layer.step), highest, norm, entering)
    rooted = gain = math.inf
    kappa = kept * 2 - step * square
    if kappa.lower() > 0 and entering < math.inf:
        moved = Ball.exact(highest) * entering * entering * step * kept * kept
        rooted = square_root(moved / kappa)
        forgotten = kappa * (1 - kept * kept)
        gain = square_root(moved / forgotten) if forgotten.lower() > 0 else math.inf
    if factor < 1 and push < math.inf:
        gain = min(gain, float((Ball.exact(push) / (1 - Ball.exact(factor))).upper()))
    return _GradientBounds(norm, factor, limit, gain, push, rooted)


def _bounded(
    block: AbstractBlock,
    layers: Sequence[ResidualBlock],
    forms: Sequence[SymmetricForm],
    slopes: tuple[float, float],
) -> BlockCertificate | Unknown:
    lo, hi = slopes
    factor, limit, gains, push, largest = 0.0, math.inf, [], 0.0, 0.0
    for layer, form in zip(layers, forms, strict=True):
        step = float(layer.step)
        slow = (1 - Ball.exact(step) * lo * form.slowest).upper() if lo > 0 else 1.0
        reach = Ball.exact(step) * hi * form.fastest if form.fastest < math.inf else None
        fast = math.inf if reach is None or not step > 0 else float((reach - 1).upper())
        factor = max(factor, float(slow), fast)
        if reach is not None:
            limit = min(limit, float((2 / (Ball.exact(hi) * form.fastest)).lower()))
        gains.append(_equilibrium_gain(layer.input_operator, form))
        entering = layer.input_operator
        drive = 0.0 if entering is None else euclidean_norm(entering)
        push = max(push, product_upper(step, hi, drive))
        highest = 0.0 if entering is None else maximum_norm(entering)
        largest = max(largest, product_upper(step, hi, highest))
    if not factor <= 1:
        return Unknown(
            f"symmetric: step {_steps(layers)} is not certainly at most {limit:.6g}, "
            "2 / (hi lambda_max): steps beyond it overshoot, and distances grow"
        )
    form, size, width = forms[0], block.state_size, block.input_size
    # Where inputs enter differently, |e|_P grows by at most 2 |ebar_k|_P at depth k, and once at
    # the last, which repeats.
    places = 1.0 if _share_inputs(layers) else float(len(layers))
    moved = product_upper(places, max(gains))
    gain = product_upper(2.0, moved, _inverse_root(form.lowest)) if width else 0.0
    transient = product_upper(square_root(Ball.exact(form.highest)), _inverse_root(form.lowest))
    return BlockCertificate(
        block,
        "symmetric",
        form.metric,
        min(factor, 1.0),
        gain,
        product_upper(gain, _root(width)),
        limit,
        _conditions(layers),
        push,
        min(largest, product_upper(push, _root(width))),
        transient,
        product_upper(transient, _root(size)),
        spectra=((form.lowest, form.highest),),
    )


def _conditions(layers: Sequence[ResidualBlock]) -> tuple[str, ...]:
    shared = "weights shared across depth"
    if len(layers) > 1:
        shared = "P shared across depth; rates, steps, inputs and biases may differ"
    return (
        slope_condition(layers[0].activation),
        "A = -Lambda P exactly, Lambda > 0 diagonal, P positive definite",
        "step hi lambda_max(Lambda^(1/2) P Lambda^(1/2)) <= 2",
        shared,
        "the block's input is held while it runs (for the gains)",
        "exact arithmetic on the stored weights",
    )


def _equilibrium_gain(operator: AbstractOperator | None, form: SymmetricForm) -> float:
    """An upper bound of `|P^(-1/2) Lambda^(-1) B|_2`."""
    if operator is None:
        return 0.0
    matrix = operator_matrix(operator)
    plain = product_upper(
        euclidean_norm(operator), _inverse_root(form.lowest), _inverse(float(form.rates.min()))
    )
    if matrix is None or form.matrix is None or len(form.rates) > _LARGEST:
        return plain
    C = matrix / Ball.exact(form.rates).reshape(-1, 1)
    square = C @ C.T
    square = (square + square.T) * 0.5
    guess = _largest_ratio(square.mid, form.matrix.mid)
    for retreat in _RETREATS:
        ratio = guess * (1 + retreat) + 2.0**-900
        # B w of every w: C C^T <= ratio P, so |P^(-1/2) C|^2 <= ratio.
        if math.isfinite(ratio) and is_positive_definite(form.matrix * ratio - square):
            return min(plain, square_root(Ball.exact(ratio)))
    return plain


def _largest_ratio(C: np.ndarray, P: np.ndarray) -> float:
    """The largest eigenvalue of `P^-1 C` in floats: a proposal."""
    try:
        L = np.linalg.cholesky(P)
        inner = np.linalg.solve(L, np.linalg.solve(L, C).T)
        return max(float(np.linalg.eigvalsh((inner + inner.T) / 2)[-1]), 0.0)
    except np.linalg.LinAlgError:
        return math.inf


def _share_form(layers: Sequence[ResidualBlock]) -> bool:
    """Whether all depths have one P: the same Gram operator, or the same matrix."""
    operators = [layer.state_operator for layer in layers]
    first = operators[0]
    if isinstance(first, NegativeGram):
        bare = [
            (o.inner, o.scale, o.shift) if isinstance(o, NegativeGram) else None for o in operators
        ]
        return all(_same(bare[0], other) for other in bare[1:])
    if isinstance(first, DenseOperator) or len(layers) == 1:
        return all(_same(first, other) for other in operators[1:])
    return False


def _share_inputs(layers: Sequence[ResidualBlock]) -> bool:
    """Whether the states at which B w stands still are the same at all depths."""
    first = layers[0]
    return all(
        _same((first.input_operator, first.state_operator), (o.input_operator, o.state_operator))
        for o in layers[1:]
    )


def _same(a: object, b: object) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in pairs)


def _steps(layers: Sequence[ResidualBlock] | Sequence[GradientBlock]) -> str:
    return f"{max(float(layer.step) for layer in layers):.6g}"


def square_root(ball: Ball) -> float:
    return float(Ball.exact(np.maximum(ball.upper(), 0.0)).sqrt().upper())


def _root(count: int) -> float:
    return square_root(Ball.exact(float(count)))


def _inverse(number: float) -> float:
    return float((Ball.exact(1.0) / number).upper()) if number > 0 else math.inf


def _inverse_root(number: float) -> float:
    return float((Ball.exact(1.0) / Ball.exact(number).sqrt()).upper())
