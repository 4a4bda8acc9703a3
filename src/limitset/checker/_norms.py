"""Norms of parts, and the gains of matrices between them, in Arb."""

import math
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._document import require, take, take_list, take_tensor

# The spectral radius is overestimated by the factor n^(1 / 2^40) at most.
_SQUARINGS = 40
_DEPTH = 16
_ORDERS = {"diagonal": 2.0, "sum": 1.0, "maximum": math.inf}


class Norm(NamedTuple):
    """`|S v|_p` with `S = diag(scale)`; `sqrt(v^T form v)`; or a maximum over parts.

    In `parts`: a norm, its place in the state, and its weight.
    """

    order: float
    scale: "list[arb] | None"
    form: "arb_mat | None"
    parts: "list[tuple[Norm, slice, arb]]"


def read_norm(metric: Any, size: int, depth: int = 0) -> Norm:
    """The norm that a metric of `size` states describes, proved to be one."""
    require(isinstance(metric, dict) and depth < _DEPTH, "a metric is malformed, or too deep")
    kind = metric.get("kind")
    if kind == "block_maximum":
        _, metrics, weights = _read_block(metric)
        parts, start = [], 0
        for part, weight in zip(metrics, weights, strict=True):
            own = _size(part, depth + 1)
            norm = read_norm(part, own, depth + 1)
            parts.append((norm, slice(start, start := start + own), arb(weight)))
        require(start == size, "a metric does not fit its part")
        return Norm(0.0, None, None, parts)
    if isinstance(kind, str) and kind in _ORDERS:
        _, entry = take(metric, "kind scale")
        scale = take_tensor(entry)
        fits = (scale.dtype, scale.shape) == ("float64", (size,))
        require(fits and min(scale.values) > 0, "a scale does not fit its part, or is not positive")
        return Norm(_ORDERS[kind], list(map(arb, scale.values)), None, [])
    scale, form = read_quadratic(metric, size, depth)
    return Norm(2.0, scale, form, [])


def read_quadratic(
    metric: Any, size: int, depth: int = 0
) -> "tuple[list[arb] | None, arb_mat | None]":
    """S of a metric that is diagonal throughout, else M, proved to be positive definite."""
    require(isinstance(metric, dict) and depth < _DEPTH, "a metric is malformed, or too deep")
    if metric.get("kind") == "diagonal":
        return read_norm(metric, size, depth).scale, None
    if metric.get("kind") == "quadratic":
        _, entry = take(metric, "kind matrix")
        matrix = take_tensor(entry)
        require((matrix.dtype, matrix.shape) == ("float64", (size, size)), "a metric does not fit")
        M = arb_mat(size, size, matrix.values)
        definite = M == M.transpose() and is_positive_definite(M)
        require(definite, "a metric is not positive definite")
        return None, M
    kind, metrics, weights = _read_block(metric)
    require(kind == "block", "a metric does not come from a quadratic form")
    found = []
    for part in metrics:
        found.append((*read_quadratic(part, own := _size(part, depth + 1), depth + 1), own))
    require(sum(own for _, _, own in found) == size, "a metric does not fit its part")
    if all(scale is not None for scale, _, _ in found):
        pairs = zip(found, weights, strict=True)
        return [arb(w).sqrt() * s for (scale, _, _), w in pairs for s in scale or ()], None
    whole, start = [[arb(0)] * size for _ in range(size)], 0
    for (scale, form, own), weight in zip(found, weights, strict=True):
        for i in range(own):
            if form is None:
                whole[start + i][start + i] = arb(weight) * (scale or [])[i] ** 2
            else:
                row = [arb(weight) * form[i, j] for j in range(own)]
                whole[start + i][start : start + own] = row
        start += own
    return None, arb_mat(whole)


def gain_upper(to: Norm, source: Norm, X: arb_mat) -> arb:
    """A ball whose upper end is at least `sup |X v|_to / |v|_source`."""
    if all(entry == 0 for entry in X.entries()):
        return arb(0)
    rows = X.tolist()
    if to.parts:
        shares = [w * gain_upper(part, source, arb_mat(rows[at])) for part, at, w in to.parts]
        return _largest(shares)
    if source.parts:
        columns = [(p, arb_mat([row[at] for row in rows]), w) for p, at, w in source.parts]
        return _total([gain_upper(to, part, block) / w for part, block, w in columns])
    p, q = to.order, source.order
    if p == q == 2:
        return _quadratic_gain(to, source, X)
    if q == 1:  # the largest column
        return _largest([_vector_norm(to, c) / s for c, s in _columns(X, source)])
    if q == 2:  # each row by the dual norm
        inverse = _inverse(source)
        dual = [_root(sum((a * b for a, b in zip(row, r, strict=True)), arb(0)))
                for row, r in zip(rows, (X * inverse).tolist(), strict=True)]  # fmt: skip
        sizes = [s * d for s, d in zip(to.scale or [], dual, strict=True)]
        if p == math.inf:
            return _largest(sizes)
        crude = _quadratic_gain(to, source, X) * _root(arb(X.nrows()))
        return _smaller(_total(sizes), crude)
    if p == 2:  # from a maximum: the sum of all columns
        sizes = [_vector_norm(to, c) / s for c, s in _columns(X, source)]
        crude = _quadratic_gain(to, source, X) * _root(arb(X.ncols()))
        return _smaller(_total(sizes), crude)
    sizes = [
        t * _total([abs(x) / s for x, s in zip(row, source.scale or [], strict=True)])
        for t, row in zip(to.scale or [], rows, strict=True)
    ]
    return _largest(sizes) if p == math.inf else _total(sizes)


def measure_is_at_most(norm: Norm, X: arb_mat, bound: arb) -> bool:
    """Whether `|v|` certainly grows at a rate of at most `bound` under `v' = X v`."""
    if all(entry == 0 for entry in X.entries()):
        return bool(bound >= 0)
    rows = X.tolist()
    if norm.parts:
        for part, at, w in norm.parts:
            others = [
                w / v * gain_upper(part, other, arb_mat([row[there] for row in rows[at]]))
                for other, there, v in norm.parts
                if there != at
            ]
            own = arb_mat([row[at] for row in rows[at]])
            if not measure_is_at_most(part, own, bound - _total(others)):
                return False
        return True
    if norm.order == 2:
        M = _form(norm)
        MX = M * X
        return is_positive_definite(M * bound - (MX + MX.transpose()) / 2)
    scale = norm.scale or []
    lines = X.transpose().tolist() if norm.order == 1 else rows
    weights = [1 / s for s in scale] if norm.order == 1 else scale
    for i, line in enumerate(lines):
        sizes = [x if i == j else abs(x) * weights[i] / weights[j] for j, x in enumerate(line)]
        if not _total(sizes) <= bound:
            return False
    return True


def _quadratic_gain(to: Norm, source: Norm, X: arb_mat) -> arb:
    """`sqrt(lambda_max(M_source^-1 X^T M_to X))`, by traces of powers."""
    P = _inverse(source) * (X.transpose() * _form(to) * X)
    traces = []
    for _ in range(_SQUARINGS):
        trace = sum((P[i, i] for i in range(P.nrows())), arb(0))
        if not trace > 0:
            return arb("inf")
        scale = arb(trace.mid())
        traces.append(scale)
        P = P / scale
        P = P * P
    radius = _upper(sum((P[i, i] for i in range(P.nrows())), arb(0)))
    for scale in reversed(traces):
        radius = scale * _root(radius)
    return _root(radius)


def _form(norm: Norm) -> arb_mat:
    """M, for norms of scales too: their largest scaled entries, for crude bounds."""
    if norm.form is not None:
        return norm.form
    scale = norm.scale or []
    M = arb_mat(len(scale), len(scale))
    for i, s in enumerate(scale):
        M[i, i] = s * s
    return M


def _inverse(norm: Norm) -> arb_mat:
    if norm.form is not None:
        return norm.form.inv()
    scale = norm.scale or []
    M = arb_mat(len(scale), len(scale))
    for i, s in enumerate(scale):
        M[i, i] = 1 / (s * s)
    return M


def _columns(X: arb_mat, source: Norm) -> list[tuple[list[arb], arb]]:
    return list(zip(X.transpose().tolist(), source.scale or [], strict=True))


def _vector_norm(norm: Norm, v: list[arb]) -> arb:
    if norm.form is not None:
        column = arb_mat(len(v), 1, v)
        return _root((column.transpose() * norm.form * column)[0, 0])
    sizes = [s * abs(x) for s, x in zip(norm.scale or [], v, strict=True)]
    if norm.order == 2:
        return _root(_total([x * x for x in sizes]))
    return _largest(sizes) if norm.order == math.inf else _total(sizes)


def _root(x: arb) -> arb:
    """The root of the upper end, for a number that is not negative."""
    return _upper(x).max(arb(0)).sqrt()


def _upper(x: arb) -> arb:
    return arb(x.upper())


def _total(values: list[arb]) -> arb:
    return sum(values, arb(0))


def _largest(values: list[arb]) -> arb:
    result = arb(0)
    for value in values:
        result = result.max(value)
    return result


def _smaller(a: arb, b: arb) -> arb:
    return a.min(b)


def _read_block(metric: dict[str, Any]) -> tuple[Any, list[Any], tuple[float, ...]]:
    kind, metrics, entry = take(metric, "kind parts weights")
    weights, count = take_tensor(entry), len(take_list(metrics))
    fits = 0 < count and (weights.dtype, weights.shape) == ("float64", (count,))
    require(fits and min(weights.values) > 0, "the weights of a metric do not fit its parts")
    return kind, metrics, weights.values


def _size(metric: Any, depth: int) -> int:
    """How many states a metric measures."""
    require(isinstance(metric, dict) and depth < _DEPTH, "a metric is malformed, or too deep")
    if "parts" in metric:
        return sum(_size(part, depth + 1) for part in take_list(metric["parts"]))
    entry = metric.get("scale", metric.get("matrix"))
    shape = take_tensor(entry).shape
    require(len(shape) > 0, "a metric is a number")
    return shape[0]
