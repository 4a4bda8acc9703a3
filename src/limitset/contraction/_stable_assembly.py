"""Assemblies that contract for every value of their free parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.contraction._block_metric import BlockMetric
from limitset.contraction._feedback_couplings import Coupling
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.contraction._weights import (
    AbstractWeightParametrisation,
    WeightAndFactor,
    WeightAndScale,
)
from limitset.networks import Activation, Assembly, Form, RateNetwork, find_activation

Weights = AbstractWeightParametrisation | tuple[AbstractWeightParametrisation, ...]
Solved = WeightAndScale | WeightAndFactor


class StableAssembly(AbstractParametrisation):
    """Free parameters of an assembly that contracts for every value they can take.

    Modules contract by their weight parametrisation, coupling is negative feedback in their metric.
    The rate is `(1 - margin)` over the slowest time constant, whatever the coupling.

    **Arguments:** `weights`, stacked over modules, or a tuple of parametrisations, stacked or of
    one module each, in the order of the modules; `coupling`; `input_weight` (n, m); `bias` (n,);
    `time_constants`, one per module; `margin` in (0, 1): each module's certified bound is `margin`
    times what contraction allows; `log_slowing` (p,), any values: time constants are
    `time_constants (1 + exp(log_slowing))`, never below `time_constants`, so that a step that suits
    those suits all; no slowing if omitted.

    **Reference:** arXiv 2106.08928.
    """

    weights: Weights
    coupling: Coupling
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    activation: Activation = eqx.field(static=True, converter=find_activation)
    form: Form = eqx.field(static=True, converter=Form)
    time_constants: tuple[float, ...] = eqx.field(static=True)
    margin: float = eqx.field(static=True)
    log_slowing: Float[Array, " p"] | None = None

    def __check_init__(self) -> None:
        slopes = self.activation.slope_interval
        if slopes is None:
            raise InputProblem(
                f"activation {self.activation.name!r} has no proved slope bound; a stable assembly "
                "needs tanh, relu, sigmoid, softplus or identity"
            )
        if slopes[0] < 0 and not all(w.takes_negative_slopes for w in _parts(self.weights)):
            raise InputProblem(
                f"activation {self.activation.name!r} has slopes down to {slopes[0]:g}; these "
                "weights need slopes of at least 0: use singular_value or absolute_value"
            )
        if not 0 < self.margin < 1:
            raise InputProblem(f"margin is {self.margin}; give a number between 0 and 1")
        modules = len(self.coupling.sizes)
        if len(self.time_constants) != modules:
            raise InputProblem(
                f"{len(self.time_constants)} time constants came for {modules} modules; give one "
                "each"
            )
        if self.log_slowing is not None and self.log_slowing.shape != (modules,):
            raise InputProblem(
                f"log_slowing has shape {self.log_slowing.shape}; give one number for each of "
                f"{modules} modules"
            )

    def explicit(self) -> Assembly:
        """The assembly that runs. Compute it once per update, outside any loop over time."""
        solved = self._solve(self.weights)
        constants = self._time_constants()
        modules, start = [], 0
        for one, constant in zip(_separate(solved), constants, strict=True):
            stop = start + one.weight.shape[-1]
            modules.append(
                RateNetwork(
                    one.weight,
                    self.input_weight[start:stop],
                    self.bias[start:stop],
                    activation=self.activation,
                    form=self.form,
                    leak=1.0 + self.coupling.damping * constant,
                    time_constant=constant,
                )
            )
            start = stop
        return Assembly(tuple(modules), _unwhiten(self.coupling, solved))

    def metric(self) -> DiagonalMetric | BlockMetric:
        """The metric that certifies `explicit()`; a proposal that `certify` still verifies."""
        solved = self._solve(self.weights)
        log_weights = self.coupling.log_weights()
        if all(isinstance(s, WeightAndScale) for s in solved):
            scale = _scale(solved).astype(jnp.float64)
            if log_weights is not None:
                owner = np.repeat(np.arange(len(self.coupling.sizes)), self.coupling.sizes)
                scale = scale * jnp.exp(log_weights[owner].astype(jnp.float64) / 2)
            return DiagonalMetric(scale)
        # Here single precision would cost digits that the rate has no slack for.
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), self.weights)
        parts = tuple(_metric_of(one) for one in _separate(self._solve(wide)))
        weights = None if log_weights is None else jnp.exp(log_weights.astype(jnp.float64))
        return BlockMetric(parts, self.coupling.sizes, weights)

    def idle(self) -> int:
        """What the coupling and the weights do not use."""
        return self.coupling.idle() + sum(w.idle() for w in _parts(self.weights))

    def _solve(self, weights: Weights) -> tuple[Solved, ...]:
        lowest, highest = self.activation.slope_interval or (0.0, 0.0)
        limit = self.margin / max(abs(lowest), abs(highest))
        return tuple(w.explicit(limit, self.form) for w in _parts(weights))

    def _time_constants(self) -> list[float | Float[Array, ""]]:
        if self.log_slowing is None:
            return list(self.time_constants)
        slowing = jnp.exp(self.log_slowing)
        return [base * (1 + s) for base, s in zip(self.time_constants, slowing, strict=True)]


def _parts(weights: Weights) -> tuple[AbstractWeightParametrisation, ...]:
    return weights if isinstance(weights, tuple) else (weights,)


def _separate(solved: tuple[Solved, ...]) -> list[Solved]:
    """One module each, of stacks and single modules."""
    single = []
    for part in solved:
        if part.weight.ndim == 2:
            single.append(part)
        else:
            count = part.weight.shape[0]
            single += [jax.tree.map(lambda leaf, i=i: leaf[i], part) for i in range(count)]
    return single


def _scale(solved: tuple[Solved, ...]) -> Float[Array, " n"]:
    """The scales of all units, where all metrics are diagonal."""
    scales = [s.scale.reshape(-1) for s in solved if isinstance(s, WeightAndScale)]
    return scales[0] if len(scales) == 1 else jnp.concatenate(scales)


def _unwhiten(coupling: Coupling, solved: tuple[Solved, ...]) -> Float[Array, "n n"]:
    """`R^-1 K R`: entry by entry for diagonal metrics, else block by block."""
    K = coupling.whitened()
    if all(isinstance(s, WeightAndScale) for s in solved):
        scale = _scale(solved)
        return K * (scale[None, :] / scale[:, None])
    single, ends = _separate(solved), []
    for one in single:
        ends.append((ends[-1] if ends else 0) + one.weight.shape[-1])
    columns = jnp.split(K, ends[:-1], axis=1)
    right = [
        c * s.scale if isinstance(s, WeightAndScale) else c @ s.factor
        for c, s in zip(columns, single, strict=True)
    ]
    rows = jnp.split(jnp.concatenate(right, 1), ends[:-1], axis=0)
    left = [
        r / s.scale[:, None] if isinstance(s, WeightAndScale) else s.inverse @ r
        for r, s in zip(rows, single, strict=True)
    ]
    return jnp.concatenate(left, 0)


def _metric_of(solved: Solved) -> AbstractMetric:
    if isinstance(solved, WeightAndScale):
        return DiagonalMetric(solved.scale.astype(jnp.float64))
    square = solved.factor.T @ solved.factor
    return QuadraticMetric((square + square.T) / 2)
