"""Families of rate networks and maps with one parameter, and their derivatives by it.

With the weights `W(a) = a W`, `W + a I`, `W + a D`, or with the bias `b + a d`. A map
`x+ = keep x + gain drive(x)` is the field with time constant `1 / gain` and leak `-keep / gain`;
its fixed points are zeros of `f(x) - x`. For the bias, with `y = W x + b + a d`:

    firing rate: f_a = phi'(y) d,  d(J v)/da = phi''(y) (W v) d;
    Hopfield:    f_a = d,          d(J v)/da = 0;

over the time constant. For the weights both are in `Jet`.

With a `weight_radius` in the claim, every entry of `W`, `D` (also where it is `I`), `b` and `d` is
a ball of that radius, and what is proved holds for all of them; single numbers stay as they are.
"""

from typing import Any, NamedTuple

from flint import arb, arb_mat

from limitset.checker._document import require, take, take_real, take_tensor
from limitset.checker._field import Field, Jet, Vector, expand, read_field, times
from limitset.checker._network import Network

_MOST = 256


class Family(NamedTuple):
    """A field with a parameter; `still` is 1 for a map and 0 for a flow.

    `lift` is the direction of the bias, where that depends on the parameter.
    """

    field: Field
    still: int
    lift: list[arb] | None

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.field.bias)

    def at(self, state: Vector, parameter: arb) -> Jet:
        """The field and its derivatives over a box of states and parameters."""
        if self.lift is None:
            return expand(self.field, state, parameter)
        bias = [b + parameter * d for b, d in zip(self.field.bias, self.lift, strict=True)]
        return expand(self.field._replace(bias=bias), state)

    def rest(self, jet: Jet) -> Vector:
        """`f(x, a)` of a flow, `f(x, a) - x` of a map."""
        return [f - self.still * x for f, x in zip(jet.value(), jet.state, strict=True)]

    def slope(self, jet: Jet) -> Vector:
        """`D_a f`."""
        if self.lift is None:
            return jet.by_parameter()
        if jet.is_firing:
            return [s * d for s, d in zip(jet.phi[1], self.lift, strict=True)]
        return [d / self.field.time for d in self.lift]

    def tilt(self, jet: Jet, v: Vector) -> Vector:
        """`D_a (J v)` at a fixed state, for a real or complex vector."""
        none = [arb(0)] * len(v)
        if self.lift is None:
            return jet.second(v, none, 0, 1)
        if jet.is_firing:
            each = zip(jet.phi[2], times(jet.weight, v), self.lift, strict=True)
            return [c * w * d for c, w, d in each]
        return none


def read_family(document: dict[str, Any], network: Network) -> Family:
    """The family of the certificate: of a `rate` flow or of a stored map, without input."""
    ball = _read_ball(document)
    field, still = _read_field(document, network, ball)
    kind, entry = take(document["family"], "kind direction")
    n = len(field.bias)
    has_direction = kind in ("direction", "bias")
    require(has_direction or entry is None, "this family has no direction of its own")
    if kind == "gain":
        silent = _widened(field.direction.entries(), n, ball)
        return Family(field._replace(weight=silent, direction=field.weight), still, None)
    if kind == "shift":
        identity = _widened([arb(int(i == j)) for i in range(n) for j in range(n)], n, ball)
        return Family(field._replace(direction=identity), still, None)
    require(has_direction, "the family is unknown")
    direction = take_tensor(entry)
    shape = (n, n) if kind == "direction" else (n,)
    require(direction.shape == shape, "the direction does not fit the network")
    if kind == "bias":
        return Family(field, still, [arb(d) + ball for d in direction.values])
    wide = _widened(list(map(arb, direction.values)), n, ball)
    return Family(field._replace(direction=wide), still, None)


def _read_ball(document: dict[str, Any]) -> arb:
    """The ball around 0 of the weight radius, where the statement has one."""
    spread = take_real(document["claim"].get("weight_radius", (0.0).hex()))
    require(spread >= 0, "the weight radius is negative")
    return arb(0, spread)


def _widened(entries: Vector, n: int, ball: arb) -> arb_mat:
    return arb_mat(n, n, [entry + ball for entry in entries])


def _read_field(document: dict[str, Any], network: Network, ball: arb) -> tuple[Field, int]:
    """Its weights and biases are balls, but the bias of an odd field."""
    field, still = _read_exact(document, network)
    several = 0 if document["statement"] == "pitchfork" else len(network.modules[0].biases)
    bias = [b + several * ball for b in field.bias]
    weight = _widened(field.weight.entries(), len(bias), ball)
    return field._replace(weight=weight, bias=bias), still


def _read_exact(document: dict[str, Any], network: Network) -> tuple[Field, int]:
    kind = document["network"]["config"]["kind"]
    if network.rule == "flow":
        return read_field(network, kind, _MOST), 0
    fits = kind in ("rate", "elman") and network.rule == "unit"
    require(fits, "this statement is about the kinds 'rate' and 'elman'")
    field = read_field(network._replace(rule="flow"), "rate", _MOST)
    biases = zip(*(tensor.values for tensor in network.modules[0].biases), strict=True)
    bias = [sum(map(arb, each), arb(0)) for each in biases]
    keep, gain = arb(network.keep[0]), arb(network.gain[0])
    return field._replace(bias=bias, leak=-keep / gain, time=1 / gain), 1
