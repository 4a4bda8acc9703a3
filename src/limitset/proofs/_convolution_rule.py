"""The rule of JAX's convolution: patches are gathered, and products of matrices do the rest."""

from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from limitset.proofs._value import Machine, Params, Rule, UnsupportedPrimitive, lift, registrar

Entries = Shaped[np.ndarray, "..."]

CONVOLUTIONS: dict[str, Rule] = {}
_rule = registrar(CONVOLUTIONS)


@_rule("conv_general_dilated")
def _conv_general_dilated(machine: Machine, params: Params, lhs: Any, rhs: Any) -> Any:
    if params["batch_group_count"] != 1:
        raise UnsupportedPrimitive(
            "conv_general_dilated with batch groups is not supported; convolve one sample at a time"
        )
    numbers, groups = params["dimension_numbers"], params["feature_group_count"]
    x = machine.move(lambda a: a.transpose(numbers.lhs_spec), lift(machine, lhs))
    w = machine.move(lambda a: a.transpose(numbers.rhs_spec), lift(machine, rhs))
    batch, features = x.shape[:2]
    lines = [
        _line(n, k, low, high, stride, *dilations)
        for n, k, (low, high), stride, *dilations in zip(
            x.shape[2:],
            w.shape[2:],
            params["padding"],
            params["window_strides"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            strict=True,
        )
    ]
    sizes = [line.shape[1] for line in lines]
    seen = _joined(lines, x.shape[2:])
    taps, places = seen.shape
    if 0 in (batch, features, w.shape[0], taps, places):
        spec = _place(numbers.out_spec)
        return machine.admit(np.zeros((batch, w.shape[0], *sizes)).transpose(spec))

    def gather(values: Entries, zero: Entries) -> Entries:
        flat = values.reshape(batch, features, -1)
        ends = np.full((batch, features, 1), zero[()], dtype=flat.dtype)
        patches = np.concatenate([flat, ends], 2)[:, :, seen]
        return patches.transpose(1, 2, 0, 3).reshape(groups, -1, batch * places)

    patches = machine.move(gather, x, machine.admit(np.asarray(0.0)))
    kernels = machine.move(lambda a: a.reshape(groups, w.shape[0] // groups, -1), w)
    products = [machine.matmul(kernels[g], patches[g]) for g in range(groups)]

    def arrange(*parts: Entries) -> Entries:
        image = np.concatenate(parts).reshape(w.shape[0], batch, *sizes).swapaxes(0, 1)
        return image.transpose(_place(numbers.out_spec))

    return machine.move(arrange, *products)


def _line(
    length: int, taps: int, low: int, high: int, stride: int, between: int, apart: int
) -> Int[np.ndarray, "t p"]:
    """Which entry each tap sees at each place along one axis; -1 where it sees 0."""
    widened = max((length - 1) * between + 1, 0) if length else 0
    count = max((low + widened + high - ((taps - 1) * apart + 1)) // stride + 1, 0)
    place = np.arange(count)[None, :] * stride + np.arange(taps)[:, None] * apart - low
    inside = (place >= 0) & (place < widened) & (place % between == 0)
    return np.where(inside, place // between, -1)


def _joined(
    lines: list[Int[np.ndarray, "..."]], sizes: tuple[int, ...]
) -> Int[np.ndarray, "taps places"]:
    """The same for all axes, as numbers of entries; their count where a tap sees 0."""
    seen = np.zeros((1, 1), dtype=np.int64)
    for line, size in zip(lines, sizes, strict=True):
        pairs = (seen[:, None, :, None], line[None, :, None, :])
        joined = np.where((pairs[0] < 0) | (pairs[1] < 0), -1, pairs[0] * size + pairs[1])
        seen = joined.reshape(seen.shape[0] * line.shape[0], seen.shape[1] * line.shape[1])
    return np.where(seen < 0, int(np.prod(sizes, dtype=int)), seen)


def _place(spec: tuple[int, ...]) -> list[int]:
    """The axes of (batch, features, space) in the order of the result."""
    return np.argsort(spec).tolist()
