"""Trajectories of maps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset._types import State
from limitset.dynamics._execution import AbstractExecution, Indexed, Scan
from limitset.dynamics._trajectory import Trajectory

_STEP_BY_STEP = Scan()


def simulate(
    system: AbstractMap,
    initial: State,
    inputs: Float[Array, "t m"] | None = None,
    *,
    steps: int | None = None,
    length: int | Int[Array, ""] | None = None,
    method: AbstractExecution = _STEP_BY_STEP,
) -> Trajectory:
    """Run a map along a sequence of inputs: `x[n+1] = advance(n, x[n], u[n])`.

    **Arguments:**

    - `system`: a map; discretise a flow first.
    - `initial`: the state before the first step, shape (n,).
    - `inputs`: shape (steps, m); omit for a system without inputs.
    - `steps`: number of steps, for a system without inputs.
    - `length`: only this many first steps count; the state stands still afterwards. This is how
      sequences of unequal length share one batch.
    - `method`: `Scan(...)`, which also decides what gradients keep in memory, or
      `ParallelNewton(...)`. The states do not depend on it, up to its tolerance.

    **Returns:** a `Trajectory`; `states[k]` is the state after step k.

    **Raises:** `InputProblem` if sizes do not fit or the system is a flow.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> decay = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5))
    >>> simulate(decay, jnp.ones(1), steps=3).states[:, 0].tolist()
    [0.5, 0.25, 0.125]
    """
    inputs = _check(system, initial, inputs, steps)
    total = inputs.shape[0]

    def step(x: State, now: Indexed) -> State:
        n, u = now
        if length is None:
            return system.advance(n, x, u)
        # Padding may be NaN; even where its result is discarded, its gradient would be NaN.
        following = system.advance(n, x, jnp.where(n < length, u, 0))
        return jnp.where(n < length, following, x)

    # On accelerators the default product of float32 matrices is less than float32; certificates
    # are about float32.
    with jax.default_matmul_precision("highest"):
        return method.run(step, initial, (jnp.arange(total), inputs))


def simulate_batch(
    system: AbstractMap,
    initial: Float[Array, "b n"],
    inputs: Float[Array, "b t m"],
    *,
    lengths: Int[Array, " b"] | None = None,
    method: AbstractExecution = _STEP_BY_STEP,
) -> Trajectory:
    """`simulate` for a batch of sequences, ragged if `lengths` is given.

    **Arguments:** as in `simulate`, with a leading batch axis; `lengths` of shape (b,) says how
    many steps of each sequence count.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ExplicitEuler, discretise
    >>> from limitset.networks import RateNetwork
    >>> decay = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5))
    >>> ragged = jnp.array([1, 3])
    >>> simulate_batch(decay, jnp.ones((2, 1)), jnp.zeros((2, 3, 0)), lengths=ragged).final.tolist()
    [[0.5], [0.125]]
    """
    if initial.shape[:1] != inputs.shape[:1]:
        raise InputProblem(
            f"{initial.shape[0]} initial states came with {inputs.shape[0]} input sequences; "
            "give one of each per sample"
        )
    if lengths is not None and lengths.shape != initial.shape[:1]:
        raise InputProblem(
            f"lengths has shape {lengths.shape}; give one length per sample, {initial.shape[:1]}"
        )
    if lengths is None:
        return jax.vmap(lambda x, u: simulate(system, x, u, method=method))(initial, inputs)
    return jax.vmap(lambda x, u, k: simulate(system, x, u, length=k, method=method))(
        initial, inputs, lengths
    )


def _check(
    system: AbstractMap, initial: State, inputs: Float[Array, "t m"] | None, steps: int | None
) -> Float[Array, "t m"]:
    if not isinstance(system, AbstractMap):
        kind = "a flow" if isinstance(system, AbstractFlow) else type(system).__name__
        raise InputProblem(
            f"{kind} came; simulate needs a map: call discretise(flow, SemiImplicit(step)) first"
        )
    if inputs is None:
        if steps is None or system.input_size != 0:
            raise InputProblem(
                f"no inputs came for a system with {system.input_size} inputs; give inputs of "
                f"shape (steps, {system.input_size}), or steps=... where there are none"
            )
        if not (isinstance(steps, int) and steps >= 0):
            raise InputProblem(f"steps is {steps!r}; give a whole number, 0 or more")
        inputs = jnp.zeros((steps, 0), initial.dtype)
    elif steps is not None:
        raise InputProblem("both inputs and steps came; give one of them")
    if initial.shape != (system.state_size,) or inputs.shape[1:] != (system.input_size,):
        raise InputProblem(
            f"initial {initial.shape} and inputs {inputs.shape} do not fit; the system needs "
            f"({system.state_size},) and (steps, {system.input_size})"
        )
    widest = jnp.result_type(initial, inputs, *jax.tree.leaves(system))
    if widest != initial.dtype:
        raise InputProblem(
            f"initial is {initial.dtype}, inputs and system compute in {widest}; states keep their "
            f"dtype, so convert initial to {widest}"
        )
    return inputs
