"""Contraction in a weighted sum or maximum of magnitudes, by columns or rows of the Jacobians.

In `sum_i w_i |v_i|` a flow contracts at the rate `c` if every column of every Jacobian has
`J_jj + sum_{i != j} w_i |J_ij| / w_j <= -c`, a map by the factor `r` if `sum_i w_i |J_ij| / w_j
<= r`. Rows, and the maximum, are columns of the transpose with the weights `1 / w_i`.
"""

from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._contraction import read_value
from limitset.checker._document import require, take, take_list, take_tensor
from limitset.checker._network import Network
from limitset.checker._sector import diagonal, make_lure

_MOST = 2048
Column = list[arb]


class _Family(NamedTuple):
    """`A + B D C` with slopes in `[0, span]`, or all its transposes."""

    A: arb_mat
    B: arb_mat
    C: arb_mat
    span: list[arb]


def prove_metzler(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    is_flow, value = network.rule == "flow", read_value(document, network)
    require(value > 0 if is_flow else value >= 0 and value < 1, "no rate > 0, no factor in [0, 1)")
    require(len(network.keep) <= _MOST, f"metzler is checked for at most {_MOST} units")
    bounds = take(document["witness"], "modules coupling")
    require(all(take_list(entry) == [] for entry in bounds), "metzler has no bounds in its witness")
    kind, scale = read_polyhedral(document, network)
    weights = [arb(s) for s in scale] if kind == "sum" else [1 / arb(s) for s in scale]
    lure, limit = make_lure(network), -value if is_flow else value
    family = _Family(*lure)
    if kind == "maximum":
        A, B, C = (matrix.transpose() for matrix in (lure.A, lure.B, lure.C))
        family = _Family(A, C, B, lure.span)
    for j, column in _columns(family, is_flow):
        total = sum(w * x for w, x in zip(weights, column, strict=True)) / weights[j]
        require(bool(total <= limit), f"the sum of column or row {j} is not established")


def read_polyhedral(document: dict[str, Any], network: Network) -> tuple[str, tuple[float, ...]]:
    """`"sum"` or `"maximum"`, and one positive weight for each unit."""
    kind, entry = take(document["metric"], "kind scale")
    scale = take_tensor(entry)
    fits = scale.dtype == "float64" and scale.shape == (len(network.keep),)
    known = kind in ("sum", "maximum")
    require(known and fits and min(scale.values) > 0, "the metric is no positive sum or maximum")
    return kind, scale.values


def _columns(family: _Family, is_flow: bool) -> list[tuple[int, Column]]:
    """Columns that bound those of all members: magnitudes, on the diagonal of flows the sign."""
    alone = _slopes_of_columns(family.C)
    if alone is None:
        return _entrywise(family, is_flow)
    columns = []
    moved = (family.B * diagonal(family.span)).transpose().tolist() if family.span else []
    for j, start in enumerate(family.A.transpose().tolist()):
        ends = [start]
        if j in alone:
            slope, weight = alone[j]
            pairs = zip(start, moved[slope], strict=True)
            ends.append([a + weight * b for a, b in pairs])
        for end in ends:
            columns.append((j, [x if is_flow and i == j else abs(x) for i, x in enumerate(end)]))
    return columns


def _slopes_of_columns(selector: arb_mat) -> dict[int, tuple[int, arb]] | None:
    """Column -> the one slope on which it depends, and its entry; `None` if some share a slope."""
    found: dict[int, tuple[int, arb]] = {}
    for slope, row in enumerate(selector.tolist()):
        taken = [(j, entry) for j, entry in enumerate(row) if not entry == 0]
        if len(taken) > 1 or any(j in found for j, _ in taken):
            return None
        found |= {j: (slope, entry) for j, entry in taken}
    return found


def _entrywise(family: _Family, is_flow: bool) -> list[tuple[int, Column]]:
    """`|A + B G C / 2| + |B| G |C| / 2`, which bounds each entry of every member by itself."""
    half = diagonal([g / 2 for g in family.span])
    middle = (family.A + family.B * half * family.C).transpose().tolist()
    spread = (_magnitudes(family.B) * half * _magnitudes(family.C)).transpose().tolist()
    columns = []
    for j, (center, reach) in enumerate(zip(middle, spread, strict=True)):
        column = [abs(x) + r for x, r in zip(center, reach, strict=True)]
        if is_flow:
            column[j] = center[j] + reach[j]
        columns.append((j, column))
    return columns


def _magnitudes(matrix: arb_mat) -> arb_mat:
    return arb_mat(matrix.nrows(), matrix.ncols(), [abs(entry) for entry in matrix.entries()])
