"""Rate networks as vector fields: values and derivatives up to the third, from formulas by hand.

`x' = (-leak x + phi(W x + b)) / tau` (firing rate) or `x' = (-leak x + W phi(x) + b) / tau`
(Hopfield form), with `W = weight + a direction`. With `y = W x + b` and `V = direction`:

    firing rate: J = -leak + diag(phi'(y)) W,  f_a = phi'(y) V x,
                 D2f((u, s), (v, t)) = phi''(y) (W u + s V x) (W v + t V x) + phi'(y) V (t u + s v),
                 D3f(u, v, w) = phi'''(y) (W u) (W v) (W w);
    Hopfield:    J = -leak + W diag(phi'(x)),  f_a = V phi(x),
                 D2f((u, s), (v, t)) = W (phi''(x) u v) + V (phi'(x) (t u + s v)),
                 D3f(u, v, w) = W (phi'''(x) u v w);

everything over tau. Products of vectors are entrywise.
"""

from typing import Any, NamedTuple

from flint import acb_mat, arb, arb_mat

from limitset.checker._document import require
from limitset.checker._network import Network

Vector = list[Any]  # of arb or acb


class Field(NamedTuple):
    """Weights and constants, as balls: every statement is about all networks in them."""

    weight: arb_mat
    direction: arb_mat
    bias: list[arb]
    leak: arb
    time: arb
    form: str
    activation: str


def read_field(network: Network, kind: Any, most: int) -> Field:
    """The field of a `rate` flow of at most so many units, without parameter and without input."""
    fits = kind == "rate" and network.rule == "flow"
    require(fits, "this statement is about the kind 'rate' without a discretisation")
    module = network.modules[0]
    n = module.weight.shape[0]
    require(n <= most, f"this statement is checked for at most {most} units")
    smooth = module.activation in ("tanh", "sigmoid")
    require(smooth, "this statement is checked for tanh and sigmoid")
    weight, bias = arb_mat(n, n, module.weight.values), list(map(arb, module.biases[0].values))
    leak, time = arb(module.leak), arb(module.time_constant)
    nothing = arb_mat(n, n, [0.0] * n**2)
    return Field(weight, nothing, bias, leak, time, module.form, module.activation)


class Jet(NamedTuple):
    """The field near all states and parameters of a box; `phi` and its derivatives over tau."""

    field: Field
    weight: arb_mat
    state: list[arb]
    phi: tuple[list[arb], list[arb], list[arb], list[arb]]

    @property
    def is_firing(self) -> bool:
        """Whether the activation comes after the weights."""
        return self.field.form == "firing_rate"

    def value(self) -> list[arb]:
        """`f(x, a)`."""
        driven = self.phi[0]
        if not self.is_firing:
            each = zip(times(self.weight, driven), self.field.bias, strict=True)
            driven = [d + b / self.field.time for d, b in each]
        leak = self.field.leak / self.field.time
        return [d - leak * x for d, x in zip(driven, self.state, strict=True)]

    def jacobian(self) -> arb_mat:
        """`D_x f`."""
        return self._minus_leak(self._weighted(self.phi[1]))

    def bend(self, v: list[arb]) -> arb_mat:
        """The matrix `u -> D2f(u, v)`."""
        along = times(self.weight, v) if self.is_firing else v
        return self._weighted(_multiply(self.phi[2], along))

    def by_parameter(self) -> list[arb]:
        """`D_a f`."""
        if self.is_firing:
            return _multiply(self.phi[1], times(self.field.direction, self.state))
        return times(self.field.direction, self.phi[0])

    def second(self, u: Vector, v: Vector, s: int = 0, t: int = 0) -> Vector:
        """`D2f((u, s), (v, t))`; the last entries are along the parameter."""
        W, V = self.weight, self.field.direction
        mixed = [t * a + s * b for a, b in zip(u, v, strict=True)]
        if self.is_firing:
            carried = times(V, self.state)
            left, right = (
                [x + k * c for x, c in zip(times(W, d), carried, strict=True)]
                for d, k in ((u, s), (v, t))
            )
            one, two = _multiply(self.phi[2], left, right), _multiply(self.phi[1], times(V, mixed))
        else:
            one, two = (
                times(W, _multiply(self.phi[2], u, v)),
                times(V, _multiply(self.phi[1], mixed)),
            )
        return [a + b for a, b in zip(one, two, strict=True)]

    def third(self, u: Vector, v: Vector, w: Vector) -> Vector:
        """`D3f(u, v, w)` along states."""
        if self.is_firing:
            return _multiply(self.phi[3], *(times(self.weight, d) for d in (u, v, w)))
        return times(self.weight, _multiply(self.phi[3], u, v, w))

    def _weighted(self, scale: list[arb]) -> arb_mat:
        rows = self.weight.tolist()
        if self.is_firing:
            return arb_mat([[w * s for w in row] for row, s in zip(rows, scale, strict=True)])
        return arb_mat([_multiply(row, scale) for row in rows])

    def _minus_leak(self, matrix: arb_mat) -> arb_mat:
        for i in range(matrix.nrows()):
            matrix[i, i] -= self.field.leak / self.field.time
        return matrix


def expand(field: Field, state: list[arb], parameter: arb | float = 0.0) -> Jet:
    """The field and its derivatives over a box of states and parameters."""
    weight = field.weight + field.direction * arb(parameter)
    arguments = list(state)
    if field.form == "firing_rate":
        arguments = [y + b for y, b in zip(times(weight, state), field.bias, strict=True)]
    curve = _tanh if field.activation == "tanh" else _sigmoid
    columns = zip(*(curve(y) for y in arguments), strict=True)
    a, b, c, d = ([entry / field.time for entry in each] for each in columns)
    return Jet(field, weight, state, (a, b, c, d))


def times(matrix: arb_mat, vector: Vector) -> Vector:
    """Matrix times a real or complex vector."""
    if all(isinstance(entry, arb) for entry in vector):
        return (matrix * arb_mat(len(vector), 1, vector)).entries()
    return (acb_mat(matrix) * acb_mat(len(vector), 1, vector)).entries()


def _multiply(*vectors: Vector) -> Vector:
    first, *others = vectors
    product = list(first)
    for other in others:
        product = [a * b for a, b in zip(product, other, strict=True)]
    return product


def _tanh(y: arb) -> tuple[arb, arb, arb, arb]:
    """`tanh` and three derivatives: `t`, `1 - t^2`, `-2 t (1 - t^2)`, `(1 - t^2) (6 t^2 - 2)`."""
    # tanh is monotone and its slope is even and falls with |y|: ends give the exact range.
    t = y.lower().tanh().union(y.upper().tanh())
    near, far = y.abs_lower().tanh(), y.abs_upper().tanh()
    slope = (1 - near * near).union(1 - far * far)
    # Powers of balls around 0 are NaN in python-flint; products are not.
    return t, slope, -2 * t * slope, slope * (6 * t * t - 2)


def _sigmoid(y: arb) -> tuple[arb, arb, arb, arb]:
    """`s(y) = (1 + tanh(y / 2)) / 2`, so each derivative of tanh comes with `1/2^(k + 1)`."""
    t, *slopes = _tanh(y / 2)
    one, two, three = (d / 2 ** (k + 2) for k, d in enumerate(slopes))
    return (1 + t) / 2, one, two, three
