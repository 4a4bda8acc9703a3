"""Rules that turn a flow into a map, and the maps that they give for rate networks."""

import abc
import math

import equinox as eqx
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks import Assembly, RateNetwork


class AbstractScheme(eqx.Module):
    """A rule that turns a flow into a map that advances time by `step`."""

    step: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The word used in model files."""


class ExplicitEuler(AbstractScheme):
    """`x+ = x + step * velocity(x, u)`. Large couplings make it unstable for every step size.

    **Arguments:** `step`, in units of time, positive.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"explicit_euler"`."""
        return "explicit_euler"


class ExponentialEuler(AbstractScheme):
    """The linear part (leak and coupling) exactly, the rest frozen over the step.

    `x+ = exp(step A) x + integral_0^step exp(s A) ds * drive(x, u) / time_constant`,
    `A = -leak / time_constant + coupling`.

    **Arguments:** `step`, in units of time, positive.

    **Reference:** Hochbruck and Ostermann, Acta Numerica 19 (2010).
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"exponential_euler"`."""
        return "exponential_euler"


class SemiImplicit(AbstractScheme):
    """Modules explicit, coupling implicit: `(I - step L) x+ = x + step * modules(x, u)`.

    A coupling that is skew in the metric never expands under this rule, whatever its size, so the
    map contracts whenever the modules' own Euler maps do. It damps fast rotations.

    **Arguments:** `step`, in units of time, positive.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"semi_implicit"`."""
        return "semi_implicit"


class Cayley(AbstractScheme):
    """Modules explicit, then the coupling by its Cayley transform, which keeps energy.

    `x+ = C (x + step * modules(x, u))`, `C = (I - step L / 2)^-1 (I + step L / 2)`. A coupling that
    is skew in the metric is turned into a rotation: `|C x|_M = |x|_M`, whatever its size. Rotations
    faster than `2 / step` are slowed down, none is damped.

    **Arguments:** `step`, in units of time, positive.

    **Reference:** G. Strang, SIAM J. Numer. Anal. 5 (1968), for the splitting; the transform is
    Cayley's.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"cayley"`."""
        return "cayley"


class Rotation(AbstractScheme):
    """Modules explicit, then the coupling exactly: `x+ = exp(step L) (x + step * modules(x, u))`.

    A coupling that is skew in the metric rotates at its own speed and keeps energy,
    `|exp(step L) x|_M = |x|_M`, whatever its size.

    **Arguments:** `step`, in units of time, positive.

    **Reference:** G. Strang, SIAM J. Numer. Anal. 5 (1968), for the splitting.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"rotation"`."""
        return "rotation"


class BackwardEuler(AbstractScheme):
    """`x+ = x + step * velocity(x+, u)`: the slowest and the safest rule, for any flow.

    If the flow contracts at the rate `lam` in any metric, the map has the factor
    `1 / (1 + step lam)` in the same metric, for every step. Each step solves an equation, by
    Newton's method.

    **Arguments:** `step`, in units of time, positive.

    **Reference:** E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996),
    section IV.12.
    """

    step: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_step(self.step)

    @property
    def name(self) -> str:
        """`"backward_euler"`."""
        return "backward_euler"


# Modules explicit, then a propagator of the coupling.
SplitScheme = SemiImplicit | Cayley | Rotation

Scheme = ExplicitEuler | ExponentialEuler | SemiImplicit | Cayley | Rotation | BackwardEuler

SCHEMES: dict[str, type[Scheme]] = {
    "explicit_euler": ExplicitEuler,
    "exponential_euler": ExponentialEuler,
    "semi_implicit": SemiImplicit,
    "cayley": Cayley,
    "rotation": Rotation,
    "backward_euler": BackwardEuler,
}


class EulerMap(AbstractMap):
    """`x+ = x + step * velocity(n step, x, u)` for any flow. No theorem knows it: never certified.

    Rate networks and assemblies get maps of their own, whose constants are stored and certified.
    """

    flow: AbstractFlow
    scheme: ExplicitEuler

    @property
    def state_size(self) -> int:
        """Number of state variables of the flow."""
        return self.flow.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs of the flow."""
        return self.flow.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """One explicit Euler step from time `n step`."""
        return x + self.scheme.step * self.flow.velocity(n * self.scheme.step, x, u)


class RateMap(AbstractMap):
    """`x+ = keep * x + gain * drive(x, u)`: a discretised `RateNetwork`.

    `keep` and `gain` are arrays, not formulas of the step: a certificate is about the numbers
    that run.
    """

    network: RateNetwork
    keep: Float[Array, ""]
    gain: Float[Array, ""]
    scheme: AbstractScheme

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.network.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.network.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        return self.keep * x + self.gain * self.network.drive(x, u)


class SemiImplicitMap(AbstractMap):
    """`x+ = propagator (keep * x + gain * drive(x, u))`: an `Assembly`, its coupling split off.

    `propagator` is `(I - step L)^-1` (`SemiImplicit`), the Cayley transform of `step L` (`Cayley`)
    or `exp(step L)` (`Rotation`), rounded, computed once, outside any loop.
    """

    assembly: Assembly
    keep: Float[Array, " n"]
    gain: Float[Array, " n"]
    propagator: Float[Array, "n n"]
    scheme: SplitScheme

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.assembly.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.assembly.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        return self.propagator @ (self.keep * x + self.gain * self.assembly.drive(x, u))


class EulerAssemblyMap(AbstractMap):
    """`x+ = transition x + gain * drive(x, u)`: an `Assembly` under explicit Euler."""

    assembly: Assembly
    gain: Float[Array, " n"]
    transition: Float[Array, "n n"]
    scheme: ExplicitEuler

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.assembly.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.assembly.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        return self.transition @ x + self.gain * self.assembly.drive(x, u)


class ExponentialAssemblyMap(AbstractMap):
    """`x+ = transition x + response drive(x, u)`: an `Assembly` under exponential Euler."""

    assembly: Assembly
    transition: Float[Array, "n n"]
    response: Float[Array, "n n"]
    scheme: ExponentialEuler

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.assembly.state_size

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.assembly.input_size

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state; `n` is not used."""
        del n
        return self.transition @ x + self.response @ self.assembly.drive(x, u)


def _check_step(step: float) -> None:
    if not (isinstance(step, float | int) and 0 < step < math.inf):
        raise InputProblem(f"step is {step!r}; give a positive, finite number in units of time")
