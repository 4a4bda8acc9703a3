"""Rules of the primitives that only move entries: exact in every dtype and arithmetic."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives as lax_primitives
from jaxtyping import Shaped

from limitset.proofs._value import (
    Machine,
    Params,
    Rule,
    UnsupportedPrimitive,
    certain,
    move,
    registrar,
)

Entries = Shaped[np.ndarray, "..."]

MOVES: dict[str, Rule] = {}
_rule = registrar(MOVES)


@_rule("copy", "stop_gradient", "name")
def _same(machine: Machine, params: Params, a: Any) -> Any:
    return a


@_rule("optimization_barrier", "device_put")
def _all_same(machine: Machine, params: Params, *values: Any) -> Any:
    return list(values)


@_rule("broadcast_in_dim")
def _broadcast_in_dim(machine: Machine, params: Params, a: Any) -> Any:
    shape, axes = params["shape"], params["broadcast_dimensions"]

    def rearrange(x: Entries) -> Entries:
        inner = [1] * len(shape)
        for axis, size in zip(axes, x.shape, strict=True):
            inner[axis] = size
        return np.broadcast_to(x.reshape(inner), shape)

    return move(machine, rearrange, a)


@_rule("reshape")
def _reshape(machine: Machine, params: Params, a: Any) -> Any:
    if params.get("dimensions") is not None:
        raise UnsupportedPrimitive("reshape with a permutation is not supported; transpose first.")
    return move(machine, lambda x: x.reshape(params["new_sizes"]), a)


@_rule("transpose")
def _transpose(machine: Machine, params: Params, a: Any) -> Any:
    return move(machine, lambda x: x.transpose(params["permutation"]), a)


@_rule("squeeze")
def _squeeze(machine: Machine, params: Params, a: Any) -> Any:
    return move(machine, lambda x: x.squeeze(tuple(params["dimensions"])), a)


@_rule("rev")
def _rev(machine: Machine, params: Params, a: Any) -> Any:
    return move(machine, lambda x: np.flip(x, tuple(params["dimensions"])), a)


@_rule("concatenate")
def _concatenate(machine: Machine, params: Params, *values: Any) -> Any:
    return move(machine, lambda *parts: np.concatenate(parts, params["dimension"]), *values)


@_rule("stack")
def _stack(machine: Machine, params: Params, *values: Any) -> Any:
    return move(machine, lambda *parts: np.stack(parts, params["axis"]), *values)


@_rule("unstack")
def _unstack(machine: Machine, params: Params, a: Any) -> Any:
    axis = params["axis"]
    return [move(machine, lambda x, i=i: x.take(i, axis), a) for i in range(int(a.shape[axis]))]


@_rule("tile")
def _tile(machine: Machine, params: Params, a: Any) -> Any:
    return move(machine, lambda x: np.tile(x, params["reps"]), a)


@_rule("split")
def _split(machine: Machine, params: Params, a: Any) -> Any:
    axis, ends = params["axis"], np.cumsum([0, *params["sizes"]])
    return [
        move(machine, lambda x, i=i, j=j: x.take(range(i, j), axis), a)
        for i, j in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]


@_rule("slice")
def _slice(machine: Machine, params: Params, a: Any) -> Any:
    starts, limits = params["start_indices"], params["limit_indices"]
    strides = params["strides"] or [1] * len(starts)
    place = tuple(slice(*one) for one in zip(starts, limits, strides, strict=True))
    return move(machine, lambda x: x[place], a)


@_rule("pad")
def _pad(machine: Machine, params: Params, a: Any, filler: Any) -> Any:
    config = params["padding_config"]

    def rearrange(x: Entries, value: Entries) -> Entries:
        shape, source, target = [], [], []
        for n, (low, high, between) in zip(x.shape, config, strict=True):
            shape.append(low + high + n + max(n - 1, 0) * between)
            place = low + np.arange(n) * (between + 1)
            source.append(np.flatnonzero((place >= 0) & (place < shape[-1])))
            target.append(place[source[-1]])
        result = np.full(shape, value[()], dtype=x.dtype)
        if x.ndim:
            result[np.ix_(*target)] = x[np.ix_(*source)]
        return result if x.ndim else x

    return move(machine, rearrange, a, filler)


def _start(
    shape: tuple[int, ...], sizes: tuple[int, ...], indices: tuple[Any, ...]
) -> tuple[slice, ...]:
    """JAX moves a block that would leave the array back inside."""
    starts = [
        int(np.clip(int(certain(i, "an index")), 0, n - size))
        for i, n, size in zip(indices, shape, sizes, strict=True)
    ]
    return tuple(slice(s, s + size) for s, size in zip(starts, sizes, strict=True))


@_rule("dynamic_slice")
def _dynamic_slice(machine: Machine, params: Params, a: Any, *indices: Any) -> Any:
    place = _start(a.shape, tuple(params["slice_sizes"]), indices)
    return move(machine, lambda x: x[place], a)


@_rule("dynamic_update_slice")
def _dynamic_update_slice(
    machine: Machine, params: Params, a: Any, update: Any, *indices: Any
) -> Any:
    place = _start(a.shape, update.shape, indices)

    def rearrange(x: Entries, part: Entries) -> Entries:
        result = x.copy()
        result[place] = part
        return result

    return move(machine, rearrange, a, update)


def _numbers(shape: tuple[int, ...], start: int = 0) -> jax.Array:
    return jnp.arange(start, start + int(np.prod(shape, dtype=int))).reshape(shape)


@_rule("gather")
def _gather(machine: Machine, params: Params, a: Any, indices: Any) -> Any:
    """Where each entry comes from is found by gathering the entries' numbers."""
    indices = jnp.asarray(certain(indices, "an index of gather"))
    numbers = lax_primitives.gather_p.bind(
        _numbers(a.shape), indices, **{**params, "fill_value": -1}
    )
    source = np.asarray(numbers)
    if not (source >= 0).all():
        raise UnsupportedPrimitive("gather reads outside of the array; correct the indices.")
    return move(machine, lambda x: x.ravel()[source], a)


@_rule("scatter")
def _scatter(machine: Machine, params: Params, a: Any, indices: Any, update: Any) -> Any:
    """As for gather: the numbers of the array and of the update are scattered."""
    if params["update_jaxpr"] is not None:
        raise UnsupportedPrimitive("scatter with a function is not supported; use `.at[].set`.")
    size = int(np.prod(a.shape, dtype=int))
    target = lax_primitives.scatter_p.bind(
        _numbers(a.shape),
        jnp.asarray(certain(indices, "an index of scatter")),
        _numbers(update.shape, size),
        **params,
    )
    source = np.asarray(target)
    # An entry that is written twice has no value that JAX promises.
    if np.count_nonzero(source >= size) != np.prod(update.shape, dtype=int):
        raise UnsupportedPrimitive("scatter writes twice or outside; correct the indices.")

    def rearrange(x: Entries, part: Entries) -> Entries:
        return np.concatenate([x.ravel(), part.ravel()])[source]

    return move(machine, rearrange, a, update)
