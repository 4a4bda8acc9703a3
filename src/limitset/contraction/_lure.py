"""All Jacobians of a system at once: `A + B D C`, with one slope per unit in D."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._layer import Vector
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Assembly, Elman, Form, RateNetwork, module_slices
from limitset.proofs import Ball

Square = Float[np.ndarray, "n n"]
LURE_SYSTEMS = (
    RateNetwork | RateMap | Elman | Assembly
    | SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap
)  # fmt: skip


@dataclass(frozen=True)
class Lure:
    """The Jacobians `A + B D C` for all diagonal D with entries `d_i` in `[0, span_i]`.

    The lowest slope of each unit is part of `A`. Units whose slope cannot vary have no column in
    `B` and no row in `C`.
    """

    A: Ball
    B: Ball
    C: Ball
    span: Vector


def lure_of(system: AbstractFlow | AbstractMap) -> Lure | str:
    """The Jacobians of a rate network, an Elman cell, an assembly or one of their maps.

    **Returns:** a `Lure`, or the reason why there is none.
    """
    if not isinstance(system, LURE_SYSTEMS):
        return f"no slope model of {type(system).__name__}"
    modules = _modules(system)
    for index, module in enumerate(modules):
        if module.activation.slope_interval is None:
            return f"module {index}: the slopes of {module.activation.name!r} have no proved bound"
    weight, lowest, span, firing = _stacked(modules)
    size = len(span)
    identity = Ball.exact(np.eye(size))
    exact = Ball.exact(weight)
    # `W D` or `D W`: the weights stand behind the slopes, or before them.
    before = Ball.exact(np.where(firing[:, None], np.eye(size), weight))
    after = Ball.exact(np.where(firing[:, None], weight, np.eye(size)))
    driven = exact * np.where(firing[:, None], lowest[:, None], lowest[None, :])
    linear, response = _around(system, size, identity)
    moving = span > 0
    A = linear + _product(response, driven)
    return Lure(A, _product(response, before)[:, moving], after[moving], span[moving])


def _product(response: Ball, matrix: Ball) -> Ball:
    """Row by row where the response is diagonal: large networks need no product of matrices."""
    own = Ball.moved(np.diagonal, response)
    entries = np.count_nonzero(response.mid) + np.count_nonzero(response.rad)
    if entries > np.count_nonzero(own.mid) + np.count_nonzero(own.rad):
        return response @ matrix
    product = own.reshape(-1, 1) * matrix
    # Exact zeros stay exact, so that theorems see where one slope stands alone.
    zero = (matrix.mid == 0) & (matrix.rad == 0)
    return Ball(product.mid, np.where(zero, 0.0, product.rad), product.guaranteed)


def _diagonal(entries: Ball) -> Ball:
    return Ball.moved(np.diag, entries)


def _modules(system: LURE_SYSTEMS) -> list[RateNetwork | Elman]:
    if isinstance(system, RateNetwork | Elman):
        return [system]
    if isinstance(system, RateMap):
        return [system.network]
    return list((system if isinstance(system, Assembly) else system.assembly).modules)


def _stacked(
    modules: list[RateNetwork | Elman],
) -> tuple[Square, Vector, Vector, np.ndarray]:
    """All modules on one diagonal: weights, lowest slopes, spans, and which are firing-rate."""
    sizes = [module.state_size for module in modules]
    weight = np.zeros((sum(sizes), sum(sizes)))
    lowest, span = np.zeros(len(weight)), np.zeros(len(weight))
    firing, start = np.zeros(len(weight), bool), 0
    for module, size in zip(modules, sizes, strict=True):
        part = slice(start, start + size)
        own = module.weight if isinstance(module, RateNetwork) else module.weight_hh
        weight[part, part] = np.asarray(own, np.float64)
        low, high = module.activation.slope_interval or (0.0, 0.0)
        # Rounded up, so that no slope is left out; a slope that cannot vary has no span.
        reach = float((Ball.exact(high) - low).upper()) if high > low else 0.0
        lowest[part], span[part] = low, reach
        firing[part] = isinstance(module, Elman) or module.form is Form.FIRING_RATE
        start += size
    return weight, lowest, span, firing


def _around(system: LURE_SYSTEMS, size: int, identity: Ball) -> tuple[Ball, Ball]:
    """`(a, r)` of the Jacobian `a + r W D` or `a + r D W`."""
    if isinstance(system, Elman):
        return identity * 0.0, identity
    if isinstance(system, RateMap):
        keep, gain = (np.full(size, float(c)) for c in (system.keep, system.gain))
        return _diagonal(Ball.exact(keep)), _diagonal(Ball.exact(gain))
    if isinstance(system, RateNetwork | Assembly):
        return _flow_around(system, size)
    if isinstance(system, SemiImplicitMap):
        propagator = _exact(system.propagator)
        return propagator * _exact(system.keep), propagator * _exact(system.gain)
    if isinstance(system, EulerAssemblyMap):
        return _exact(system.transition), _diagonal(_exact(system.gain))
    return _exact(system.transition), _exact(system.response)


def _flow_around(system: RateNetwork | Assembly, size: int) -> tuple[Ball, Ball]:
    """`-leak / time_constant + coupling` and `1 / time_constant`."""
    modules = [system] if isinstance(system, RateNetwork) else list(system.modules)
    leak, time_constant = np.zeros(size), np.zeros(size)
    places = [slice(0, size)] if isinstance(system, RateNetwork) else module_slices(system)
    for module, part in zip(modules, places, strict=True):
        leak[part], time_constant[part] = float(module.leak), float(module.time_constant)
    inverse = 1 / Ball.exact(time_constant)
    linear = _diagonal(-(inverse * leak))
    if isinstance(system, Assembly):
        linear = linear + _exact(system.coupling)
    return linear, _diagonal(inverse)


def _exact(array: object) -> Ball:
    return Ball.exact(np.asarray(array, np.float64))
