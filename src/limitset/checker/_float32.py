"""What float32 does to a contracting map: every step errs by at most `rounding` in the metric.

Standard model: `fl(a op b) = (a op b)(1 + d) + e`, `|d| <= 2^-24`, and numbers below 2^-126 may
count as 0, as operands and as results. A sum of k products, in any order, fused or not, errs by at
most `k u / (1 - k u)` of its magnitude. An operand is a bound of magnitudes, and one of errors.
"""

import math
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._contraction import read_form, read_scale, read_value
from limitset.checker._document import require, take, take_list, take_real
from limitset.checker._network import ACTIVATIONS, Network, RateModule

Operand = tuple[list[arb], list[arb]]
_ZERO = arb(0)


class Rounding(NamedTuple):
    """Unit roundoff, what underflows cost a term, the largest flushed number, the error of phi."""

    unit: float
    underflow: float
    flushed: float
    activation: float


def prove_float32(document: dict[str, Any], network: Network) -> None:
    """Prove that runs stay in the ball of `state_radius`, and that two approach within `gap`."""
    keys = "input_bound activation_error state_radius rounding gap"
    inputs, alpha, radius, rounding, gap = map(take_real, take(document["float32"], keys))
    stored = {tensor.dtype for tensor in network.tensors.values()}
    fits = stored == {"float32"} and network.rule in ("unit", "semi_implicit")
    require(fits, "float32 is for rate maps, elman, semi-implicit assemblies of float32 tensors")
    exact = all(module.activation in ("relu", "identity") for module in network.modules)
    usable = inputs >= 0 < radius and 0 <= alpha <= 2.0**-10 and (exact or alpha > 0)
    require(usable, "float32: input_bound, state_radius or activation_error is not usable")
    factor, gauge = read_value(document, network), _read_gauge(document, network)
    state, exactly = [radius * r for r in gauge.reach], Rounding(0.0, 0.0, 0.0, 0.0)
    single = Rounding(2.0**-24, 2.0**-120, 2.0**-126, alpha)
    start = _step(network, [_ZERO] * len(state), inputs, exactly)[0]
    drive = _drive(network, state, inputs, exactly)[0]
    driven = [abs(d) * w for d, w in zip(network.gain, drive, strict=True)]
    error = _step(network, state, inputs, single)[1]
    moved, pushed, erred = (_length(gauge, vector) for vector in (start, driven, error))
    require(erred <= rounding, "float32: the rounding error of a step is not established")
    # Contraction towards F(0, u), or the linear part with the drive bounded as a whole.
    reaches = [factor * radius + moved]
    if network.rule == "unit":  # all units keep one share: a norm of any kind scales with it
        reaches.append(max(map(abs, network.keep)) * arb(radius) + pushed)
    elif document["theorem"] != "sector":
        norms = take_list(take(document["witness"], "modules coupling")[1])
        kept = max(map(abs, network.keep)) * arb(radius)
        reaches.append(arb(take_real(norms[0])) * (kept + pushed))
    stays = any(reach + rounding <= radius for reach in reaches)
    require(stays, "float32: runs may leave the ball")
    require(2 * arb(rounding) <= gap * (1 - factor), "float32: the gap is not established")


class Gauge(NamedTuple):
    """Bounds of `|x_i|` where `|x|_M <= 1`, and `|M|` entry by entry."""

    reach: list[arb]
    form: arb_mat


def _read_gauge(document: dict[str, Any], network: Network) -> Gauge:
    n = len(network.keep)
    if "matrix" in document["metric"]:
        M = read_form(document, network)
        inverse = M.inv()
        reach = [inverse[i, i].abs_upper().sqrt() for i in range(n)]
        return Gauge(reach, arb_mat(n, n, [abs(entry) for entry in M.entries()]))
    form, scale = arb_mat(n, n), read_scale(document, network)
    for i, s in enumerate(scale):
        form[i, i] = arb(s) * s
    return Gauge([1 / arb(s) for s in scale], form)


def _length(gauge: Gauge, vector: list[arb]) -> arb:
    """At least `|v|_M` for all `v` with entries below those of the vector."""
    # Powers and roots of balls around 0 are NaN in python-flint, products and their ends are not.
    column = arb_mat(len(vector), 1, vector)
    return (column.transpose() * gauge.form * column)[0, 0].abs_upper().sqrt()


def _drive(network: Network, state: list[arb], inputs: float, r: Rounding) -> Operand:
    sizes, errors = [], []
    for module in network.modules:
        drive = state[module.units], [_ZERO] * module.weight.shape[0]
        if module.form == "hopfield":
            size, error = _weigh(module, _activate(module, drive, r), inputs, r)
        else:
            size, error = _activate(module, _weigh(module, drive, inputs, r), r)
        sizes, errors = sizes + size, errors + error
    return sizes, errors


def _step(network: Network, state: list[arb], inputs: float, r: Rounding) -> Operand:
    sizes, errors, n = [], [], len(state)
    drive = _drive(network, state, inputs, r)
    for c, d, x, w, e in zip(network.keep, network.gain, state, *drive, strict=True):
        size, error = _multiply([[c, d]], ([x, w], [_ZERO, e]), [_ZERO], 4, r)
        sizes += size
        errors += error
    if network.rule == "unit":
        return sizes, errors
    P = network.tensors["propagator"].values
    rows = [P[i * n : (i + 1) * n] for i in range(n)]
    return _multiply(rows, (sizes, errors), [_ZERO] * n, n + 1, r)


def _activate(module: RateModule, operand: Operand, r: Rounding) -> Operand:
    _, steepest, supremum, at_zero = ACTIVATIONS[module.activation]
    sizes = [at_zero + steepest * (x + e) for x, e in zip(*operand, strict=True)]
    sizes = sizes if supremum == math.inf else [x.min(arb(supremum)) for x in sizes]
    each = zip(sizes, operand[1], strict=True)
    return sizes, [steepest * e + r.activation * x + r.underflow for x, e in each]


def _weigh(module: RateModule, operand: Operand, inputs: float, r: Rounding) -> Operand:
    (k, m), W, U = module.input_weight.shape, module.weight.values, module.input_weight.values
    rows = [[*W[i * k : (i + 1) * k], *U[i * m : (i + 1) * m]] for i in range(k)]
    biases = zip(*(bias.values for bias in module.biases), strict=True)
    offset = [sum(abs(arb(b)) for b in each) for each in biases]
    extended = operand[0] + [arb(inputs)] * m, operand[1] + [_ZERO] * m
    return _multiply(rows, extended, offset, k + m + 4, r)


def _multiply(rows: Any, operand: Operand, offset: Any, terms: int, r: Rounding) -> Operand:
    """`A v + offset`, added up from so many products and offsets at most."""
    gamma = terms * arb(r.unit) / (1 - terms * arb(r.unit))
    columns = [[x + e, e, arb(r.flushed)] for x, e in zip(*operand, strict=True)]
    products = (arb_mat([[abs(a) for a in row] for row in rows]) * arb_mat(columns)).tolist()
    sizes = [row[0] + c for row, c in zip(products, offset, strict=True)]
    own = terms * r.underflow + r.flushed * sum(column[0] for column in columns)
    each = zip(products, sizes, strict=True)
    errors = [row[1] + row[2] + gamma * size + own for row, size in each]
    finite = gamma >= 0 and all(x + e < 2.0**126 for x, e in zip(sizes, errors, strict=True))
    require(finite, "float32: a number may overflow, or a sum has too many terms")
    return sizes, errors
