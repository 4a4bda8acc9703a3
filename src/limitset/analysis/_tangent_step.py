"""Steps that carry a state and tangent vectors together."""

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._types import Input, State, StepIndex, Time
from limitset.dynamics import AbstractFlow, AbstractMap, linearise

System = AbstractFlow | AbstractMap
Frame = Float[Array, "n k"]
Linearisation = tuple[State, Callable[[Frame], Frame]]


class Tangents(eqx.Module):
    """A state, tangent vectors as columns, and what a rule remembers of earlier steps.

    - `past`: of the vectors; `velocities`: of the state, the latest first.
    """

    state: State
    frame: Frame
    past: tuple[Frame, ...] = ()
    velocities: tuple[State, ...] = ()

    def turned(self, frame: Frame, triangle: Float[Array, "k k"]) -> "Tangents":
        """The same vectors in new coordinates: `frame` now stands for the old one times `R^-1`.

        Tangent equations are linear, so what is remembered is multiplied alike.
        """
        identity = jnp.eye(triangle.shape[0], dtype=triangle.dtype)
        inverse = jax.scipy.linalg.solve_triangular(triangle, identity)
        past = tuple(old @ inverse for old in self.past)
        return Tangents(self.state, frame, past, self.velocities)


class TangentSystem(eqx.Module):
    """A system, and the same one with its numbers in the dtype of the tangent vectors.

    Vectors need fewer digits than the states they follow: states that diverge with rounding are
    another trajectory, vectors in float32 give the exponents of the same one to about 1e-6.
    """

    system: System
    light: System

    def linearise(self, t: Time | StepIndex, x: State, u: Input, dtype: Any) -> Linearisation:
        """The value in the state's dtype, and a function of vectors in theirs."""
        if x.dtype == dtype:
            return linearise(self.system, t, x, u)
        if isinstance(self.system, AbstractFlow):
            value = self.system.velocity(t, x, u)
        else:
            value = self.system.advance(t, x, u)  # pyright: ignore[reportArgumentType]
        return value, linearise(self.light, t, x.astype(dtype), u.astype(dtype))[1]


class AbstractIntegrator(eqx.Module):
    """A rule that advances a state, alone or with tangent vectors, by `step` units of time."""

    step: eqx.AbstractVar[float]

    @property
    def takes_changing_inputs(self) -> bool:
        """Whether inputs may change from step to step; rules that look back need them constant."""
        return True

    @property
    @abc.abstractmethod
    def kind(self) -> type[AbstractFlow] | type[AbstractMap]:
        """What the rule is for."""

    @abc.abstractmethod
    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """The state after step `n`; the input stands still during the step."""

    def begin(
        self, tangent: TangentSystem, n: StepIndex, x: State, frame: Frame, u: Input
    ) -> Tangents:
        """What the first step starts from."""
        del tangent, n, u
        return Tangents(x, frame)

    @abc.abstractmethod
    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """State and tangent vectors after step `n`."""


class EachStep(AbstractIntegrator):
    """The steps of a map, and its derivative: exact.

    **Arguments:** `step`, the time that one step of the map takes. With 1 exponents are per step;
    for a map from `discretise(flow, scheme)` give the step of the scheme.

    >>> EachStep().step
    1.0
    """

    step: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        check_step(self.step)

    @property
    def kind(self) -> type[AbstractMap]:
        """Maps."""
        return AbstractMap

    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """The next state."""
        return _as_map(system).advance(n, x, u)

    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """The next state, and the derivative of the step times the vectors."""
        x, push = tangent.linearise(n, now.state, u, now.frame.dtype)
        return Tangents(x, push(now.frame))


class Euler(AbstractIntegrator):
    """Explicit Euler steps of a flow, and their exact derivative: of order 1.

    The negative half of a spectrum is off by about `step` times the squares of the exponents; use
    `RungeKutta4` unless another program's Euler steps are to be reproduced.

    **Arguments:** `step`, in units of time, positive.

    >>> Euler(0.1).step
    0.1
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_step(self.step)

    @property
    def kind(self) -> type[AbstractFlow]:
        """Flows."""
        return AbstractFlow

    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """`x + step * velocity`."""
        return x + self.step * as_flow(system).velocity(time_of(self, n, x), x, u)

    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """The same step, and its derivative."""
        x, Q = now.state, now.frame
        velocity, push = tangent.linearise(time_of(self, n, x), x, u, Q.dtype)
        return Tangents(x + self.step * velocity, Q + self.step * push(Q))


class RungeKutta4(AbstractIntegrator):
    """The classical Runge-Kutta rule; vectors pass the same stages, so they see its derivative.

    Four products of the Jacobian with all vectors a step. Of order 4; of order 1 where a gate is
    steeper than a step resolves (an update gain of 100 and more): take exponential steps there,
    `discretise(flow, ExponentialEuler(step))` with `EachStep(step)`.

    **Arguments:** `step`, in units of time, positive.

    >>> RungeKutta4(0.05).step
    0.05

    **Reference:** E. Hairer, S. Norsett and G. Wanner, Solving Ordinary Differential Equations I
    (1993), section II.1.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_step(self.step)

    @property
    def kind(self) -> type[AbstractFlow]:
        """Flows."""
        return AbstractFlow

    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """The state after four stages."""
        return runge_kutta(as_flow(system), self.step, time_of(self, n, x), x, u)

    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """State and vectors after the same four stages."""
        h, t, x, Q = self.step, time_of(self, n, now.state), now.state, now.frame
        k1, push = tangent.linearise(t, x, u, Q.dtype)
        K1 = push(Q)
        k2, push = tangent.linearise(t + h / 2, x + h / 2 * k1, u, Q.dtype)
        K2 = push(Q + h / 2 * K1)
        k3, push = tangent.linearise(t + h / 2, x + h / 2 * k2, u, Q.dtype)
        K3 = push(Q + h / 2 * K2)
        k4, push = tangent.linearise(t + h, x + h * k3, u, Q.dtype)
        K4 = push(Q + h * K3)
        return Tangents(
            x + h / 6 * (k1 + 2 * (k2 + k3) + k4), Q + h / 6 * (K1 + 2 * (K2 + K3) + K4)
        )


def runge_kutta(flow: AbstractFlow, h: float, t: Time, x: State, u: Input) -> State:
    """The state `h` later, or earlier where `h` is negative, after four stages."""
    k1 = flow.velocity(t, x, u)
    k2 = flow.velocity(t + h / 2, x + h / 2 * k1, u)
    k3 = flow.velocity(t + h / 2, x + h / 2 * k2, u)
    k4 = flow.velocity(t + h, x + h * k3, u)
    return x + h / 6 * (k1 + 2 * (k2 + k3) + k4)


def time_of(integrator: AbstractIntegrator, n: StepIndex, x: State) -> Float[Array, ""]:
    """The time at which step `n` begins."""
    # In the state's dtype: a float64 time would turn float32 states into float64.
    return jnp.asarray(n * integrator.step, x.dtype)


def as_flow(system: System) -> AbstractFlow:
    """The same system, if it is a flow."""
    if not isinstance(system, AbstractFlow):
        raise InputProblem(f"{type(system).__name__} is no flow; use EachStep() for maps")
    return system


def _as_map(system: System) -> AbstractMap:
    if not isinstance(system, AbstractMap):
        raise InputProblem(f"{type(system).__name__} is no map; use RungeKutta4(step) for flows")
    return system


def check_step(step: float) -> None:
    """Refuse what is no length of a step."""
    if isinstance(step, bool) or not (isinstance(step, float | int) and 0 < step < math.inf):
        raise InputProblem(f"step is {step!r}; give a positive, finite number in units of time")
