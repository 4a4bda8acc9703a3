"""The kind `particle`: a small network that may be asked for its own weights.

`N(row) = W_L a(W_{L-1} ... a(W_1 row))`. The row of weight `i` is `(theta_i, places_i, 0, ...)`,
and self-application `T` puts `N` of its row in the place of each weight.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require, take, take_list, take_tensor
from limitset.checker._network import Network

Vector = list[arb]
QUESTION = 4
_MOST = 1024
_OFFSET = 1e-8
_CODES = ("colmax", "perlayer", "keras2019", "l2col", "raw")
_CONFIG = "kind inputs widths position activation"


class Particle(NamedTuple):
    """Shapes of the matrices, the stored weights, and the coordinates of each; all exact."""

    shapes: list[tuple[int, int]]
    weights: Vector
    places: list[tuple[float, ...]]
    activation: str

    @property
    def size(self) -> int:
        """How many weights."""
        return len(self.weights)

    @property
    def depth(self) -> int:
        """How many matrices."""
        return len(self.shapes)


def read_particle(value: Any) -> Network:
    """The network of a certificate, if its tensors are those that its sizes call for."""
    config, entries = take(value, "config tensors")
    _, inputs, widths, position, activation = take(config, _CONFIG)
    sizes = [inputs, *take_list(widths), 1]
    whole = all(type(size) is int and 0 < size <= _MOST for size in sizes)
    require(
        whole and len(sizes) > 2 and inputs >= QUESTION, "the sizes of a particle are malformed"
    )
    known = position in _CODES and activation in tuple(SMOOTH)
    require(known, "the position code or the activation is unknown, or not smooth")
    require(isinstance(entries, dict), "the tensors are missing")
    tensors = {name: take_tensor(entry) for name, entry in entries.items()}
    shapes = {f"weight_{k}": (sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1)}
    fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
    require(fits and sum(map(math.prod, shapes.values())) <= _MOST, "the tensors do not fit")
    require(len({tensor.dtype for tensor in tensors.values()}) == 1, "the tensors differ in dtype")
    return Network("map", [], tensors, (), (), "particle", str(activation))


def particle_of(document: dict[str, Any], network: Network, most: int = _MOST) -> Particle:
    """The particle that a statement is about."""
    require(network.family == "particle", "this statement is about the kind 'particle'")
    config = document["network"]["config"]
    tensors = [network.tensors[f"weight_{k}"] for k in range(len(network.tensors))]
    shapes = [(tensor.shape[0], tensor.shape[1]) for tensor in tensors]
    weights = [arb(value) for tensor in tensors for value in tensor.values]
    require(len(weights) <= most, f"this statement is checked for at most {most} weights")
    return Particle(shapes, weights, coordinates(shapes, config["position"]), network.activation)


def coordinates(shapes: list[tuple[int, int]], code: str) -> list[tuple[float, ...]]:
    """(layer, cell, edge) of each weight in float64, operation by operation as the code says.

    These floats belong to the model, as stored weights do: all statements are about them.
    """
    numbers = [
        (float(layer), float(cell), float(edge))
        for layer, (rows, columns) in enumerate(shapes)
        for cell in range(rows)
        for edge in range(columns)
    ]
    if code == "colmax":
        largest = [max(column) for column in zip(*numbers, strict=True)]
        return [
            tuple(x / (m + _OFFSET) + _OFFSET for x, m in zip(row, largest, strict=True))
            for row in numbers
        ]
    if code == "l2col" and shapes[0][1] > QUESTION:
        squares = [sum(x * x for x in column) for column in zip(*numbers, strict=True)]
        # A column of zeros has nothing to be divided by.
        lengths = [math.sqrt(square) if square > 0 else 1.0 for square in squares]
        return [
            tuple(x / m + _OFFSET for x, m in zip(row, lengths, strict=True)) for row in numbers
        ]
    if code in ("perlayer", "keras2019"):
        last, scaled = len(shapes) - 1, []
        for layer, cell, edge in numbers:
            rows, columns = shapes[int(layer)]
            ends = (last, rows - 1, columns - 1)
            row = [x / max(m, 1) for x, m in zip((layer, cell, edge), ends, strict=True)]
            scaled.append(tuple(row if code == "perlayer" else (row[0], row[2], row[1])))
        return scaled
    return numbers


def cut(particle: Particle, weights: Vector) -> list[arb_mat]:
    """The matrices of a vector of weights."""
    parts, start = [], 0
    for rows, columns in particle.shapes:
        parts.append(arb_mat(rows, columns, weights[start : start + rows * columns]))
        start += rows * columns
    return parts


def kappa(particle: Particle, weights: Vector) -> Vector:
    """The first four entries of `W_L ... W_1`."""
    first, *others = cut(particle, weights)
    row = others[-1]
    for weight in reversed(others[:-1]):
        row = row * weight
    return (row * first).entries()[:QUESTION]


def kappa_gradient(particle: Particle, weights: Vector) -> arb_mat:
    """Its derivative: `d kappa_j / d W_m[a, b] = (W_L ... W_{m+1})_a (W_{m-1} ... W_1)_{b j}`."""
    parts = cut(particle, weights)
    lefts, inputs = [arb_mat(1, 1, [1])], particle.shapes[0][1]
    for weight in reversed(parts[1:]):
        lefts.append(lefts[-1] * weight)
    unit = [float(i == j) for i in range(inputs) for j in range(QUESTION)]
    right, rows = arb_mat(inputs, QUESTION, unit), [[] for _ in range(QUESTION)]
    for weight, left in zip(parts, reversed(lefts), strict=True):
        for j in range(QUESTION):
            rows[j] += [a * right[b, j] for a in left.entries() for b in range(right.nrows())]
        right = weight * right
    return arb_mat(rows)


def apply_itself(particle: Particle, weights: Vector) -> tuple[Vector, arb_mat]:
    """`T` and its derivative: each weight's row goes through the network, and back."""
    parts, activate = cut(particle, weights), SMOOTH[particle.activation]
    spare = [arb(0)] * (particle.shapes[0][1] - QUESTION)
    values, rows = [], []
    for i, place in enumerate(particle.places):
        row = [weights[i], *map(arb, place), *spare]
        states, slopes = [row], []
        for weight in parts[:-1]:
            drive = (weight * arb_mat(len(states[-1]), 1, states[-1])).entries()
            pairs = [activate(x) for x in drive]
            states.append([value for value, _ in pairs])
            slopes.append([slope for _, slope in pairs])
        values.append((parts[-1] * arb_mat(len(states[-1]), 1, states[-1]))[0, 0])
        back, gradient = [arb(1)], []
        for k in range(len(parts) - 1, -1, -1):
            gradient = [b * x for b in back for x in states[k]] + gradient
            back = (arb_mat(1, len(back), back) * parts[k]).entries()
            if k:
                back = [b * s for b, s in zip(back, slopes[k - 1], strict=True)]
        gradient[i] += back[0]
        rows.append(gradient)
    return values, arb_mat(rows)


def _identity(x: arb) -> tuple[arb, arb]:
    return x, arb(1)


def _tanh(x: arb) -> tuple[arb, arb]:
    """The slope falls with `|x|`: ends give the exact range."""
    near, far = x.abs_lower().tanh(), x.abs_upper().tanh()
    return x.lower().tanh().union(x.upper().tanh()), (1 - near * near).union(1 - far * far)


def _sigmoid(x: arb) -> tuple[arb, arb]:
    value, slope = _tanh(x / 2)
    return (1 + value) / 2, slope / 4


def _softplus(x: arb) -> tuple[arb, arb]:
    ends = (_log_1p_exp(x.lower()), _log_1p_exp(x.upper()))
    return ends[0].union(ends[1]), _sigmoid(x)[0]


def _log_1p_exp(x: arb) -> arb:
    return x.exp().log1p() if x < 64 else x + (-x).exp().log1p()


# Value and slope of the activations that have one everywhere.
SMOOTH: dict[str, Callable[[arb], tuple[arb, arb]]] = {
    "identity": _identity,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
}
