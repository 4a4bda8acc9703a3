"""Refutation: a state at which the Jacobian is provably unstable, so no constant metric works."""

import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Refuted
from limitset.dynamics import (
    EulerAssemblyMap,
    ExponentialAssemblyMap,
    RateMap,
    SemiImplicitMap,
)
from limitset.networks import (
    IDENTITY,
    RELU,
    SIGMOID,
    SOFTPLUS,
    TANH,
    Activation,
    Assembly,
    Elman,
    Form,
    RateNetwork,
    module_slices,
)
from limitset.proofs import (
    Ball,
    is_hurwitz_refuted,
    is_schur_refuted,
    logistic,
    logistic_slope,
    tanh_slope,
)

Vector = Float[np.ndarray, " n"]

# The Lyapunov solve costs about 25 n^3; above this size a refutation is not attempted.
_LARGEST = 300
# Pre-activations at which each activation is as steep as it gets, or nearly.
_STEEP = {"tanh": 0.0, "sigmoid": 0.0, "softplus": 8.0, "relu": 1.0, "identity": 0.0}


def refute(system: AbstractFlow | AbstractMap) -> Refuted | None:
    """Try to prove that no constant metric makes the system contract at all states.

    Contraction in a constant metric needs a stable Jacobian at every state. The Jacobian is
    enclosed at a few states where the activations are steep; if one enclosure is certainly
    unstable, that state is the witness. The input is zero.

    **Returns:** the refutation, or `None`: then nothing is known.
    """
    if not isinstance(system, _REFUTABLE) or system.state_size > _LARGEST:
        return None
    continuous = isinstance(system, AbstractFlow)
    for state in _states(system):
        jacobian = _jacobian(system, state)
        if jacobian is None:
            continue
        witness = is_hurwitz_refuted(jacobian) if continuous else is_schur_refuted(jacobian)
        if witness is not None:
            edge = "real part at least 0" if continuous else "modulus at least 1"
            reason = (
                f"the Jacobian at the witness state has an eigenvalue of {edge}, so no constant "
                "metric contracts there"
            )
            return Refuted(reason, state, witness.form, witness.direction, witness.bound)
    return None


_REFUTABLE = (
    RateNetwork,
    RateMap,
    Elman,
    Assembly,
    SemiImplicitMap,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
)


def _layers(system: AbstractFlow | AbstractMap) -> list[tuple[RateNetwork | Elman, slice]]:
    if isinstance(system, RateNetwork | Elman):
        return [(system, slice(0, system.state_size))]
    if isinstance(system, RateMap):
        return [(system.network, slice(0, system.state_size))]
    assembly = system if isinstance(system, Assembly) else getattr(system, "assembly", None)
    if not isinstance(assembly, Assembly):
        return []
    return list(zip(assembly.modules, module_slices(assembly), strict=True))


def _states(system: AbstractFlow | AbstractMap) -> list[Vector]:
    """Rest, and the state that puts every unit where its activation is steep."""
    steep = np.zeros(system.state_size)
    for layer, place in _layers(system):
        target = _STEEP.get(layer.activation.name, 0.0)
        steep[place] = target
        if isinstance(layer, Elman) or layer.form is Form.FIRING_RATE:
            weight, bias = _weight_and_bias(layer)
            steep[place] = np.linalg.lstsq(weight, target - bias, rcond=None)[0]
    rest = np.zeros(system.state_size)
    return [rest] if (steep == rest).all() else [rest, steep]


def _weight_and_bias(layer: RateNetwork | Elman) -> tuple[Float[np.ndarray, "n n"], Vector]:
    if isinstance(layer, Elman):
        bias = np.asarray(layer.bias_ih, np.float64) + np.asarray(layer.bias_hh, np.float64)
        return np.asarray(layer.weight_hh, np.float64), bias
    return np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)


def _slopes(activation: Activation, argument: Ball) -> Ball | None:
    if activation == TANH:
        return tanh_slope(argument)
    if activation == SIGMOID:
        return logistic_slope(argument)
    if activation == SOFTPLUS:
        return logistic(argument)
    if activation == IDENTITY:
        return Ball.exact(np.ones(argument.shape))
    if activation == RELU:
        positive, negative = argument.lower() > 0, argument.upper() < 0
        return Ball.exact(positive.astype(float)) if (positive | negative).all() else None
    return None


def _driven(layer: RateNetwork | Elman, state: Vector) -> Ball | None:
    """Enclosure of the layer's part of the Jacobian, `W D` or `D W`."""
    weight = Ball.exact(_weight_and_bias(layer)[0])
    if isinstance(layer, RateNetwork) and layer.form is Form.HOPFIELD:
        slopes = _slopes(layer.activation, Ball.exact(state))
        return None if slopes is None else weight * slopes
    biases = [layer.bias_ih, layer.bias_hh] if isinstance(layer, Elman) else [layer.bias]
    argument = weight @ state
    for bias in biases:
        argument = argument + np.asarray(bias, np.float64)
    slopes = _slopes(layer.activation, argument)
    return None if slopes is None else weight * slopes.reshape(-1, 1)


def _jacobian(system: AbstractFlow | AbstractMap, state: Vector) -> Ball | None:
    size = system.state_size
    mid, rad = np.zeros((size, size)), np.zeros((size, size))
    leak, time_constant = np.zeros(size), np.ones(size)
    for layer, place in _layers(system):
        block = _driven(layer, state[place])
        if block is None:
            return None
        mid[place, place], rad[place, place] = block.mid, block.rad
        if isinstance(layer, RateNetwork):
            leak[place], time_constant[place] = float(layer.leak), float(layer.time_constant)
    driven = Ball(mid, rad)

    def rows(values: object) -> Ball:
        return Ball.exact(np.broadcast_to(np.asarray(values, np.float64), size).reshape(-1, 1))

    def matrix(values: object) -> Ball:
        return Ball.exact(np.asarray(values, np.float64))

    if isinstance(system, RateNetwork | Assembly):
        flow = (driven - np.diag(leak)) / rows(time_constant)
        return (
            flow + np.asarray(system.coupling, np.float64) if isinstance(system, Assembly) else flow
        )
    if isinstance(system, RateMap | SemiImplicitMap):
        kept = np.diag(np.broadcast_to(np.asarray(system.keep, np.float64), size))
        local = driven * rows(system.gain) + kept
        return matrix(system.propagator) @ local if isinstance(system, SemiImplicitMap) else local
    if isinstance(system, EulerAssemblyMap):
        return matrix(system.transition) + driven * rows(system.gain)
    if isinstance(system, ExponentialAssemblyMap):
        return matrix(system.transition) + matrix(system.response) @ driven
    return driven
