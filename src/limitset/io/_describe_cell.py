"""Recurrent cells: Elman, GRU and LSTM with PyTorch's tensor names, and the published GRU."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from limitset._system import AbstractMap
from limitset.io._entries import (
    Config,
    Tensors,
    activation_name,
    check_keys,
    check_tensors,
    check_word,
)
from limitset.networks import ACTIVATIONS, GRU, LSTM, Elman, ResetBeforeGRU

_KINDS = {Elman: "elman", GRU: "gru", LSTM: "lstm"}
_TENSORS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
# Other names: no cell of PyTorch runs these.
_RESET_BEFORE = ("weight_ih", "weight_hh", "bias")


def describe_cell(system: Elman | GRU | LSTM) -> tuple[Config, Tensors]:
    """Kind, activation where it can vary, and four tensors."""
    arrays = (system.weight_ih, system.weight_hh, system.bias_ih, system.bias_hh)
    config: Config = {"kind": _KINDS[type(system)]}
    if isinstance(system, Elman):
        config["activation"] = activation_name(system.activation)
    return config, {n: np.asarray(array) for n, array in zip(_TENSORS, arrays, strict=True)}


def rebuild_cell(config: Config, tensors: dict[str, Array]) -> AbstractMap:
    """The cell that a description determines."""
    kind = config["kind"]
    check_keys(config, {"kind", "activation"} if kind == "elman" else {"kind"}, set())
    check_tensors(tensors, set(_TENSORS[:2]), set(_TENSORS[2:]))
    weight_ih, weight_hh = tensors["weight_ih_l0"], tensors["weight_hh_l0"]
    # PyTorch's bias=False leaves both out; a zero bias is the same cell.
    zero = jnp.zeros(weight_hh.shape[:1], weight_hh.dtype)
    biases = [tensors.get(name, zero) for name in _TENSORS[2:]]
    if kind == "elman":
        check_word(config, "activation", list(ACTIVATIONS))
        return Elman(weight_ih, weight_hh, *biases, activation=config["activation"])
    return (GRU if kind == "gru" else LSTM)(weight_ih, weight_hh, *biases)


def describe_reset_before(system: ResetBeforeGRU) -> tuple[Config, Tensors]:
    """Kind and three tensors."""
    tensors = {name: np.asarray(getattr(system, name)) for name in _RESET_BEFORE}
    return {"kind": "reset_before_gru"}, tensors


def rebuild_reset_before(config: Config, tensors: dict[str, Array]) -> AbstractMap:
    """The cell that a description determines."""
    check_keys(config, {"kind"}, set())
    check_tensors(tensors, set(_RESET_BEFORE), set())
    return ResetBeforeGRU(**tensors)
