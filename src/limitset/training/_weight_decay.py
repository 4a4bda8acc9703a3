"""Which numbers weight decay acts on: not those that decide how fast a stable block is."""

from typing import Any

import jax
from jaxtyping import PyTree

from limitset.contraction import AbstractBlockParametrisation, FreeBlock, UntiedParametrisation
from limitset.training._batch_norm import BatchNorm


def decay_mask(model: PyTree) -> PyTree:
    """True where weight decay acts: matrices and taps, not those of stable state operators.

    Decay on the root of `A = -R^T R - epsilon I` pulls every rate to `epsilon`, the slowest that
    there is, and decay on the shifts of a convolution pulls its centre tap to -1: these numbers
    are bounded by their parametrisation anyway. Vectors (biases, batch norm) are exempt as usual.

    **Arguments:** `model`, any pytree of free parameters.

    **Returns:** a pytree of its structure.

    >>> import jax
    >>> from limitset.contraction import random_dense_block
    >>> mask = decay_mask(random_dense_block(jax.random.key(0), units=3, inputs=2))
    >>> mask.root, mask.input_operator.matrix, mask.bias
    (False, True, False)
    """
    return jax.tree.map(_mask, model, is_leaf=_is_special)


def _is_special(node: object) -> bool:
    return isinstance(node, AbstractBlockParametrisation | BatchNorm)


def _mask(node: PyTree) -> PyTree:
    if isinstance(node, UntiedParametrisation):
        return jax.tree.map(_mask, node, is_leaf=lambda n: n is not node and _is_special(n))
    if isinstance(node, AbstractBlockParametrisation) and not isinstance(node, FreeBlock):
        return jax.tree_util.tree_map_with_path(_enters, node)
    if isinstance(node, BatchNorm):
        return jax.tree.map(lambda leaf: False, node)
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, node)


def _enters(path: tuple[Any, ...], leaf: jax.Array) -> bool:
    """Whether the leaf is a weight of the operator that injects the input."""
    return getattr(path[0], "name", None) == "input_operator" and leaf.ndim >= 2
