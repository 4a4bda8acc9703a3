"""Float32 maps of every kind that the float32 statement speaks of, drawn at random."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from limitset.contraction import (
    AbsoluteValue,
    AbstractParametrisation,
    AbstractTheorem,
    Answer,
    Composition,
    DiagonalLinear,
    InputGates,
    Metzler,
    SingularValue,
    SmallGain,
    certify,
    gated_assembly,
    gated_stack,
    random_stable_recurrence,
    random_stable_ren,
    recurrence_stack,
)
from limitset.dynamics import (
    AbstractMap,
    Cayley,
    CompositeMap,
    ExplicitEuler,
    ExponentialEuler,
    GatedMap,
    SemiImplicit,
    discretise,
)
from limitset.networks import (
    Assembly,
    Composite,
    DiagonalRecurrence,
    Elman,
    GatedAssembly,
    GatedRate,
    RateNetwork,
    Relay,
    Stack,
)

INPUTS = 2
_SIMPLE = (SingularValue(), InputGates(), DiagonalLinear())
Rng = np.random.Generator


def single(values: object) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def _weight(rng: Rng, n: int, norm: float = 0.6) -> jax.Array:
    weight = rng.standard_normal((n, n))
    return single(norm * weight / np.linalg.norm(weight, 2))


def _rate(rng: Rng, n: int, form: str = "hopfield", inputs: int = INPUTS) -> RateNetwork:
    activation = {"hopfield": "tanh", "firing_rate": "relu"}[form]
    entering, bias = single(rng.standard_normal((n, inputs))), single(rng.standard_normal(n))
    return RateNetwork(_weight(rng, n), entering, bias, activation=activation, form=form)


def _elman(rng: Rng, n: int, inputs: int = INPUTS) -> Elman:
    parts = (single(rng.standard_normal(s)) for s in ((n, inputs), n, n))
    entering, first, second = parts
    return Elman(entering, _weight(rng, n), first, second, activation="softplus")


def _skew(rng: Rng, sizes: tuple[int, ...]) -> jax.Array:
    K = rng.standard_normal((sum(sizes),) * 2)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return single((np.tril(K) - np.tril(K).T) * (owner[:, None] != owner))


def _units(rng: Rng, n: int, activation: str = "tanh") -> GatedRate:
    speeds = np.sort(rng.uniform(0.1, 0.9, (2, n)), axis=0)
    own = rng.uniform(-1.5, 0.8, n)
    arrays = (rng.standard_normal(s) for s in ((n, INPUTS), n, (n, INPUTS), n))
    entering, bias, gates, gate_bias = map(single, arrays)
    return GatedRate(
        single(own),
        entering,
        bias,
        gate_weight=gates,
        gate_bias=gate_bias,
        slowest=single(speeds[0]),
        fastest=single(speeds[1]),
        activation=activation,
    )


def _relay(rng: Rng, states: int, width: int) -> Relay:
    read, bias, write = (rng.standard_normal(s) for s in ((4, states), 4, (width, 4)))
    return Relay(single(read), single(bias), single(write), "sigmoid" if states > 3 else "relu")


def _mixed_stack(rng: Rng) -> Stack:
    """One layer for every way in which inputs enter."""
    rates = [_rate(rng, 3, form) for form in ("hopfield", "firing_rate")]
    assembly = Assembly(rates, 0.3 * _skew(rng, (3, 3)))
    layers = (
        discretise(assembly, SemiImplicit(0.5)),
        _elman(rng, 3),
        *(discretise(rate, ExplicitEuler(0.5)) for rate in rates),
        _recurrence(rng),
        discretise(assembly, ExponentialEuler(0.5)),
        _recurrence(rng),
    )
    relays = [_relay(rng, layer.state_size, INPUTS) for layer in layers[:-1]]
    return Stack(layers, relays, single(rng.standard_normal((INPUTS, INPUTS))))


def _recurrence(rng: Rng, units: int = 2) -> DiagonalRecurrence:
    modulus, angle = rng.uniform(0.3, 0.95, units), rng.uniform(0, 3, units)
    parts = (modulus * np.cos(angle), modulus * np.sin(angle))
    arrays = (rng.standard_normal(s) for s in ((2 * units, INPUTS), 2 * units))
    return DiagonalRecurrence(*map(single, (*parts, *arrays)))


def _composite(rng: Rng) -> CompositeMap:
    parts = (_rate(rng, 2), _rate(rng, 3, "firing_rate"))
    inner = Composite(parts, _skew(rng, (2, 3)))
    outer = Composite((inner, _rate(rng, 2)), _skew(rng, (5, 2)))
    whole = discretise(outer, Cayley(0.4))
    assert isinstance(whole, CompositeMap)
    return whole


def _mixed_parts(rng: Rng) -> CompositeMap:
    parts = (GatedMap(_units(rng, 2), single(1.0), None, ExplicitEuler(1.0)), _recurrence(rng, 1))
    turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    return CompositeMap((*parts, _elman(rng, 3)), single(0.5 * turn))


def _split(rng: Rng) -> AbstractMap:
    """An assembly whose modules are parts of a composition."""
    parts = [_rate(rng, 2), _rate(rng, 3, "firing_rate")]
    return discretise(Assembly(parts, 0.05 * _skew(rng, (2, 3))), SemiImplicit(0.3))


def _hierarchy(rng: Rng) -> CompositeMap:
    """One way only: no size of the lower block matters, and any norms will do."""
    mixing = np.eye(5)
    mixing[2:, :2] = 3 * rng.standard_normal((3, 2))
    return CompositeMap((_recurrence(rng, 1), _elman(rng, 3)), single(mixing))


def _drawn(core: AbstractParametrisation) -> AbstractMap:
    system = core.explicit()
    assert isinstance(system, AbstractMap)
    return system


def _key(rng: Rng) -> jax.Array:
    return jax.random.key(int(rng.integers(2**31)))


def _recurrence_stack(rng: Rng) -> AbstractMap:
    core = recurrence_stack(_key(rng), layers=3, units=4, width=3, inputs=INPUTS, hidden=4)
    return _drawn(core)


def _gated_stack(rng: Rng) -> AbstractMap:
    sizes: dict[str, Any] = {"modules": 2, "units": 3, "width": 3, "hidden": 4, "top": 3}
    return _drawn(gated_stack(_key(rng), inputs=INPUTS, slowest=0.05, **sizes))


# Kind -> how to draw one.
KINDS: dict[str, Callable[[Rng], AbstractMap]] = {
    "gated_units": lambda rng: discretise(_units(rng, 5), ExplicitEuler(0.5)),
    "gated": lambda rng: _drawn(
        gated_assembly(_key(rng), modules=2, units=4, inputs=INPUTS, slowest=0.05)
    ),
    "gated_coupled": lambda rng: discretise(
        GatedAssembly(_units(rng, 5, "relu"), 3 * _skew(rng, (1,) * 5)), SemiImplicit(0.5)
    ),
    "recurrence": lambda rng: _drawn(random_stable_recurrence(_key(rng), units=5, inputs=INPUTS)),
    "recurrence_stack": _recurrence_stack,
    "gated_stack": _gated_stack,
    "mixed_stack": _mixed_stack,
    "composite": _composite,
    "split": _split,
    "mixed_parts": _mixed_parts,
    "hierarchy": _hierarchy,
    "ren": lambda rng: _drawn(random_stable_ren(_key(rng), states=4, units=5, inputs=INPUTS)),
}
_INNER = (AbsoluteValue(), *_SIMPLE, Metzler())
_THEOREMS: dict[str, tuple[AbstractTheorem, ...]] = {
    "composite": (Composition((SingularValue(),)),),
    "split": (Composition((SingularValue(),)),),
    "mixed_parts": (Composition(_SIMPLE),),
    "hierarchy": (SmallGain(_INNER),),
}


def certified(kind: str, system: AbstractMap, bound: float = 1.0) -> Answer:
    """The answer of the theorem that the kind is meant for."""
    theorems = _THEOREMS.get(kind)
    if theorems is None:
        return certify(system, input_bound=bound)
    return certify(system, input_bound=bound, theorems=theorems)
