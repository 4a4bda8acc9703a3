"""The two kinds of dynamical system. Networks are systems, and so is whatever wraps them."""

import abc

import equinox as eqx

from limitset._types import Input, State, StepIndex, Time


class AbstractFlow(eqx.Module):
    """A system in continuous time: `dx/dt = velocity(t, x, u)`."""

    @property
    @abc.abstractmethod
    def state_size(self) -> int:
        """Number of state variables `n`."""

    @property
    @abc.abstractmethod
    def input_size(self) -> int:
        """Number of inputs `m` (0 for an autonomous system)."""

    @abc.abstractmethod
    def velocity(self, t: Time, x: State, u: Input) -> State:
        """`dx/dt` at time `t`, state `x` of shape (n,), input `u` of shape (m,)."""


class AbstractMap(eqx.Module):
    """A system in discrete time: `x[n+1] = advance(n, x[n], u[n])`."""

    @property
    @abc.abstractmethod
    def state_size(self) -> int:
        """Number of state variables `n`."""

    @property
    @abc.abstractmethod
    def input_size(self) -> int:
        """Number of inputs `m` (0 for an autonomous system)."""

    @abc.abstractmethod
    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The next state, from step index `n`, state `x` of shape (n,), input `u` of shape (m,)."""
