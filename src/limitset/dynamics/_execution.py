"""How a trajectory is computed: step by step, and what is kept for the gradient."""

import abc
import enum
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset._types import State
from limitset.dynamics._trajectory import Trajectory

Indexed = tuple[Int[Array, "*t"], Float[Array, "*t m"]]
"""Step indices and inputs, of one step or of all."""

Step = Callable[[State, Indexed], State]


class AbstractExecution(eqx.Module):
    """A way to compute the states of a map along its inputs."""

    @abc.abstractmethod
    def run(self, step: Step, initial: State, indexed: Indexed) -> Trajectory:
        """All states of `x[n+1] = step(x[n], (n, u[n]))`."""


class Remember(enum.StrEnum):
    """What the forward pass keeps of a step for the backward pass.

    `STATES`: the state, from which the step is computed again. `EVERYTHING`: all that the step
    computed.
    """

    STATES = "states"
    EVERYTHING = "everything"


class Scan(AbstractExecution):
    """One step after the other.

    The settings decide about the memory of gradients, never about values: `remember` what of each
    step, and for how many steps at once. With `chunk`, only every `chunk`-th state is kept; the
    backward pass runs each chunk again. About `sqrt(steps)` needs the least memory, of order
    `sqrt(steps)` states.

    On processors `STATES` is the fastest as well, since storing takes longer than computing again
    (benchmarks/train_speed.py); a chunk adds the time of one forward pass.

    **Arguments:** `remember`, `"states"` or `"everything"`; `chunk`, in steps, `None` for no
    chunks.

    >>> Scan(chunk=28).remember.value
    'states'

    **Reference:** T. Chen and others, arXiv 1604.06174.
    """

    remember: Remember = eqx.field(static=True, default=Remember.STATES)
    chunk: int | None = eqx.field(static=True, default=None)

    def __init__(
        self, remember: str | Remember = Remember.STATES, chunk: int | None = None
    ) -> None:
        if remember not in tuple(Remember):
            raise InputProblem(f"remember is {remember!r}; use 'states' or 'everything'")
        if chunk is not None and not (isinstance(chunk, int) and chunk >= 1):
            raise InputProblem(f"chunk is {chunk!r}; give a whole number of steps, 1 or more")
        self.remember, self.chunk = Remember(remember), chunk

    def run(self, step: Step, initial: State, indexed: Indexed) -> Trajectory:
        """All states, in order."""

        def both(x: State, now: Indexed) -> tuple[State, State]:
            following = step(x, now)
            return following, following

        if self.remember is Remember.STATES:
            both = jax.checkpoint(both, prevent_cse=False)
        total = indexed[0].shape[0]
        if self.chunk is None or self.chunk >= total:
            final, states = jax.lax.scan(both, initial, indexed)
            return Trajectory(states, final)

        @jax.checkpoint
        def advance(x: State, piece: Indexed) -> tuple[State, Float[Array, "k n"]]:
            return jax.lax.scan(both, x, piece)

        even = total - total % self.chunk
        count = (even // self.chunk, self.chunk)
        pieces = jax.tree.map(lambda a: a[:even].reshape(*count, *a.shape[1:]), indexed)
        final, states = jax.lax.scan(advance, initial, pieces)
        final, rest = advance(final, jax.tree.map(lambda a: a[even:], indexed))
        return Trajectory(jnp.concatenate([states.reshape(even, *initial.shape), rest]), final)
