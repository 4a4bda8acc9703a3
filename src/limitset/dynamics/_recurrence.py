"""Whole sequences at once: linear recurrences by an associative scan, stacks layer by layer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset._types import State
from limitset.dynamics._simulate import Trajectory, simulate
from limitset.networks import DiagonalRecurrence, Stack, layer_states


def run_recurrence(
    system: DiagonalRecurrence, initial: State, inputs: Float[Array, "t m"]
) -> Trajectory:
    """The states that `simulate` gives, up to rounding, in O(log t) rounds instead of t steps.

    All inputs pass `input_weight` in one product; then pairs of steps are merged into steps with
    the transition `lambda^2`, and so on: O(t) work. Both modes of differentiation keep that shape:
    the tangents of a linear recurrence obey the same recurrence. For batches, use `jax.vmap`.

    **Arguments:** `system`; `initial`, the state before the first step, shape (2n,); `inputs`,
    shape (t, m).

    **Returns:** a `Trajectory`; `states[k]` is the state after step k.

    **Raises:** `InputProblem` if sizes or dtypes do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1))
    >>> run_recurrence(half, jnp.array([8.0, 4.0]), jnp.zeros((3, 0))).final.tolist()
    [1.0, 0.5]

    **Reference:** Blelloch, Prefix sums and their applications (1990); arXiv 2303.06349.
    """
    _check(system, DiagonalRecurrence, initial, inputs)
    states = _run_linear(system, initial[None], inputs[:, None])[:, 0]
    return Trajectory(states, states[-1] if len(inputs) else initial)


def run_stack(system: Stack, initial: State, inputs: Float[Array, "t m"]) -> Trajectory:
    """The states that `simulate` gives, up to rounding, layer by layer over the whole sequence.

    A layer hears nothing of the layers above it, so it can run to the end of the sequence before
    they start: linear layers by `run_recurrence`, stacks within the stack by `run_stack`, others
    step by step; the relays between them are single products. For batches, use `jax.vmap`.

    **Arguments:** `system`; `initial`, the state before the first step, shape (n,); `inputs`,
    shape (t, m).

    **Returns:** a `Trajectory`; `states[k]` is the state of all layers after step k.

    **Raises:** `InputProblem` if sizes or dtypes do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.ones((2, 1)))
    >>> stack = Stack((half,), (), jnp.ones((1, 1)))
    >>> run_stack(stack, jnp.zeros(2), jnp.ones((3, 1))).states[:, 0].tolist()
    [1.0, 1.5, 1.75]
    """
    _check(system, Stack, initial, inputs)
    states = _run_layers(system, initial[None], inputs[:, None])[:, 0]
    return Trajectory(states, states[-1] if len(inputs) else initial)


def run_stack_batch(
    system: Stack, initial: Float[Array, "b n"], inputs: Float[Array, "b t m"]
) -> Trajectory:
    """`run_stack` for a batch of sequences, which share every product: faster than `jax.vmap`.

    **Arguments:** as in `run_stack`, with a leading batch axis.

    **Raises:** `InputProblem` if sizes or dtypes do not fit.

    >>> import jax.numpy as jnp
    >>> half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.ones((2, 1)))
    >>> stack = Stack((half,), (), jnp.ones((1, 1)))
    >>> run_stack_batch(stack, jnp.zeros((2, 2)), jnp.ones((2, 3, 1))).final[:, 0].tolist()
    [1.75, 1.75]
    """
    if initial.shape[:1] != inputs.shape[:1] or 0 in initial.shape[:1]:
        raise InputProblem(
            f"{initial.shape[0]} initial states came with {inputs.shape[0]} input sequences; "
            "give one of each per sample, and at least one"
        )
    _check(system, Stack, initial[0], inputs[0])
    states = _run_layers(system, initial, inputs.swapaxes(0, 1))
    final = states[-1] if len(states) else initial
    return Trajectory(states.swapaxes(0, 1), final)


def _run_layers(
    system: Stack, initial: Float[Array, "b n"], inputs: Float[Array, "t b m"]
) -> Float[Array, "t b n"]:
    """The states of all layers. Time first: then every step is one piece of memory."""
    states, starts = [], jax.vmap(lambda x: layer_states(system, x))(initial)
    with jax.default_matmul_precision("highest"):
        stream = _on_rows(system.embed, inputs)
        for index, (layer, start) in enumerate(zip(system.layers, starts, strict=True)):
            states.append(_run(layer, start, stream))
            if index < len(system.relays):
                stream = stream + _on_rows(system.relays[index], states[-1])
    return jnp.concatenate(states, -1)


def _run(
    layer: AbstractMap, initial: Float[Array, "b n"], inputs: Float[Array, "t b m"]
) -> Float[Array, "t b n"]:
    # Exact types: a subclass may run something else.
    if type(layer) is DiagonalRecurrence:
        return _run_linear(layer, initial, inputs)
    if type(layer) is Stack:
        return _run_layers(layer, initial, inputs)
    return jax.vmap(lambda x, u: simulate(layer, x, u).states, (0, 1), 1)(initial, inputs)


def _run_linear(
    system: DiagonalRecurrence, initial: Float[Array, "b k"], inputs: Float[Array, "t b m"]
) -> Float[Array, "t b k"]:
    if inputs.shape[0] == 0:
        return jnp.zeros((0, *initial.shape), initial.dtype)
    with jax.default_matmul_precision("highest"):
        drive = _on_rows(lambda u: u @ system.input_weight.T + system.bias, inputs)
    transition = jax.lax.complex(system.real, system.imaginary)
    z = _complex(drive).at[0].add(transition * _complex(initial))
    z = _accumulate(transition, z)
    return jnp.concatenate([z.real, z.imag], -1)


def _on_rows(
    function: Callable[[Float[Array, "r m"]], Float[Array, "r d"]], x: Float[Array, "t b m"]
) -> Float[Array, "t b d"]:
    """All rows at once: products with three axes have gradients that take three times as long."""
    rows = function(x.reshape(x.shape[0] * x.shape[1], x.shape[2]))
    return rows.reshape(*x.shape[:-1], rows.shape[-1])


@jax.custom_jvp
def _accumulate(
    transition: Complex[Array, " n"], drive: Complex[Array, "t b n"]
) -> Complex[Array, "t b n"]:
    """`z_k = transition z_(k-1) + drive_k` from rest."""
    return _merge(transition, drive)


@_accumulate.defjvp
def _accumulate_tangent(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (transition, drive), (turn, push) = primals, tangents
    z = _merge(transition, drive)
    # What differentiating the rounds one by one would store is never needed.
    before = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1]])
    return z, _merge(transition, turn * before + push)


def _merge(
    transition: Complex[Array, " n"], drive: Complex[Array, "t b n"]
) -> Complex[Array, "t b n"]:
    steps = drive.shape[0]
    if steps == 1:
        return drive
    pairs = steps // 2
    first, second = drive[: 2 * pairs : 2], drive[1 : 2 * pairs : 2]
    odd = _merge(transition * transition, transition * first + second)
    even = jnp.concatenate([drive[:1], transition * odd[: steps - pairs - 1] + drive[2::2]])
    woven = jnp.stack([even[:pairs], odd], 1).reshape(2 * pairs, *drive.shape[1:])
    return jnp.concatenate([woven, even[pairs:]])


def _complex(x: Float[Array, "*t k"]) -> Complex[Array, "*t n"]:
    return jax.lax.complex(*jnp.split(x, 2, -1))


def _check(
    system: AbstractMap, expected: type, initial: State, inputs: Float[Array, "t m"]
) -> None:
    if type(system) is not expected:
        raise InputProblem(
            f"{type(system).__name__} came; a {expected.__name__} is needed: use simulate for "
            "other maps"
        )
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
