"""Steps that look back: one product of the Jacobian with all vectors for each."""

import equinox as eqx

from limitset._types import Input, State, StepIndex
from limitset.analysis._tangent_step import (
    AbstractIntegrator,
    Frame,
    System,
    Tangents,
    TangentSystem,
    as_flow,
    check_step,
    runge_kutta,
    time_of,
)
from limitset.dynamics import AbstractFlow


class AdamsBashforth4(AbstractIntegrator):
    """Runge-Kutta steps for the state, four-step Adams-Bashforth steps for the vectors.

    One product of the Jacobian with all vectors a step instead of four, and order 4 as well: what
    the vectors do along a trajectory is a linear equation, and its right-hand sides at the last
    four states are remembered (and turned with the vectors). The error of a step is about forty
    times that of `RungeKutta4`, and directions that contract faster than about `0.3 / step` are
    not followed: for the first exponents of many, not for whole spectra. The first steps are of
    order 1; keep a tangent transient.

    **Arguments:** `step`, in units of time, positive.

    >>> AdamsBashforth4(0.05).step
    0.05

    **Reference:** E. Hairer, S. Norsett and G. Wanner, Solving Ordinary Differential Equations I
    (1993), section III.1.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_step(self.step)

    @property
    def kind(self) -> type[AbstractFlow]:
        """Flows."""
        return AbstractFlow

    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """The state after the four stages of `RungeKutta4`."""
        return runge_kutta(as_flow(system), self.step, time_of(self, n, x), x, u)

    def begin(
        self, tangent: TangentSystem, n: StepIndex, x: State, frame: Frame, u: Input
    ) -> Tangents:
        """As if the vectors had always changed as they do now."""
        _, push = tangent.linearise(time_of(self, n, x), x, u, frame.dtype)
        return Tangents(x, frame, _steady(push(frame)))

    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """The state after four stages, the vectors after one product."""
        _, push = tangent.linearise(time_of(self, n, now.state), now.state, u, now.frame.dtype)
        frame, past = _forward(now, push(now.frame), self.step)
        return Tangents(self.move(tangent.system, n, now.state, u), frame, past)


class AdamsMoulton4(AbstractIntegrator):
    """Adams-Bashforth steps for the vectors, and the same with a corrector for the state.

    Two velocities a step instead of the four of `AdamsBashforth4`, whose state moves by
    Runge-Kutta: of order 4 too, and right where the state's own cost counts. The state is
    predicted by Adams-Bashforth and corrected once by Adams-Moulton; its rates may reach about
    `1 / step`. Velocities of earlier steps must belong to the same input, so that inputs that
    change from step to step are refused.

    **Arguments:** `step`, in units of time, positive.

    >>> AdamsMoulton4(0.05).step
    0.05

    **Reference:** E. Hairer, S. Norsett and G. Wanner, Solving Ordinary Differential Equations I
    (1993), section III.1.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_step(self.step)

    @property
    def takes_changing_inputs(self) -> bool:
        """They may not change."""
        return False

    @property
    def kind(self) -> type[AbstractFlow]:
        """Flows."""
        return AbstractFlow

    def move(self, system: System, n: StepIndex, x: State, u: Input) -> State:
        """The state after the four stages of `RungeKutta4`: alone, it has no past."""
        return runge_kutta(as_flow(system), self.step, time_of(self, n, x), x, u)

    def begin(
        self, tangent: TangentSystem, n: StepIndex, x: State, frame: Frame, u: Input
    ) -> Tangents:
        """The state's past, by Runge-Kutta steps backwards; vectors begin as if they had none."""
        flow, t, velocities, earlier = as_flow(tangent.system), time_of(self, n, x), [], x
        for k in range(3):
            earlier = runge_kutta(flow, -self.step, t - k * self.step, earlier, u)
            velocities.append(flow.velocity(t - (k + 1) * self.step, earlier, u))
        _, push = tangent.linearise(t, x, u, frame.dtype)
        return Tangents(x, frame, _steady(push(frame)), tuple(velocities))

    def advance(self, tangent: TangentSystem, n: StepIndex, now: Tangents, u: Input) -> Tangents:
        """State and vectors after two velocities and one product."""
        h, t, x, (f1, f2, f3) = self.step, time_of(self, n, now.state), now.state, now.velocities
        f0, push = tangent.linearise(t, x, u, now.frame.dtype)
        frame, past = _forward(now, push(now.frame), h)
        predicted = x + h / 24 * (55 * f0 - 59 * f1 + 37 * f2 - 9 * f3)
        ahead = as_flow(tangent.system).velocity(t + h, predicted, u)
        corrected = x + h / 24 * (9 * ahead + 19 * f0 - 5 * f1 + f2)
        return Tangents(corrected, frame, past, (f0, f1, f2))


def _steady(K: Frame) -> tuple[Frame, Frame, Frame]:
    """What is remembered of vectors that have always changed by `K`."""
    return -31 * K, 28 * K, -9 * K


def _forward(now: Tangents, K: Frame, step: float) -> tuple[Frame, tuple[Frame, ...]]:
    """The vectors a step later, `55 K - 59 K1 + 37 K2 - 9 K3` from the last four products.

    What is remembered is what later steps will add of them, so that no array is only moved.
    """
    next1, next2, next3 = now.past
    frame = now.frame + step / 24 * (55 * K + next1)
    return frame, (next2 - 59 * K, next3 + 37 * K, -9 * K)
