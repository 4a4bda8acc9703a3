"""What rounding does to a contracting map that runs in float32."""

import jax
import numpy as np

from limitset._system import AbstractMap
from limitset.contraction._certificate import Certificate, Float32Gap
from limitset.contraction._float32_stack import layered_gap
from limitset.contraction._float32_step import local_step, smallest_ball
from limitset.contraction._rounding_implicit import implicit_step
from limitset.contraction._size import LEAST, MOST, error_of, exact_inputs
from limitset.dynamics import GatedMap, ImplicitMap
from limitset.networks import DiagonalRecurrence, Stack
from limitset.proofs import Ball

# Relative error of float32 activations, as assumed of the runtime: 32 units in the last place.
# tests/contraction/test_float32.py measures it over all magnitudes.
ACTIVATION_ERROR = 2.0**-19


def float32_gap(certificate: Certificate, input_bound: float) -> Float32Gap | None:
    """How far apart two float32 runs of one input can stay, for a certified float32 map.

    One step of a float32 run is the exact step plus an error `e` with `|e|_M <= rounding`, as long
    as `|x|_M <= state_radius` and `|u_j| <= input_bound`; and the rounded map sends that ball into
    itself. Then two runs obey `d <- factor d + 2 rounding`. Every quantity is rounded upward.
    Recurrences and stacks have a ball for every unit or layer instead, and a gap from each. For
    maps of backward Euler it is conditional: no step may leave more than `residual`.

    **Returns:** the bound, or `None` for flows, for maps that are not float32 throughout or store
    subnormal or enormous numbers, for maps of other kinds, and where no radius is found.
    """
    system, factor = certificate.system, certificate.factor
    if factor is None or not isinstance(system, AbstractMap) or not _is_float32(system):
        return None
    if not _is_ordinary(system):
        return None
    error = 0.0 if _is_exact(system) else ACTIVATION_ERROR
    if isinstance(system, Stack | DiagonalRecurrence):
        return layered_gap(certificate, input_bound, error)
    # Not among the local steps: what solvers of layers and parts leave would be a number for each.
    analyse = implicit_step if isinstance(system, ImplicitMap) else local_step
    step = analyse(certificate, exact_inputs(system.input_size, input_bound), error)
    found = None if step is None else smallest_ball(step)
    if found is None:
        return None
    radius, reach = found
    gap = float((Ball.exact(2 * reach.rounding) / (1 - Ball.exact(factor))).upper())
    if not np.isfinite(gap):
        return None
    numbers = (input_bound, error, radius, reach.rounding, gap)
    return Float32Gap(*numbers, residual=reach.residual)


def _is_float32(system: AbstractMap) -> bool:
    return all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(system))


def _is_ordinary(system: AbstractMap) -> bool:
    """Whether nothing that is stored can be flushed, or make much of what is."""
    sizes = [np.abs(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(system)]
    return all(((size == 0) | ((size >= LEAST) & (size <= MOST))).all() for size in sizes)


def _is_exact(system: AbstractMap) -> bool:
    """Whether float32 computes all activations without error; gates are sigmoids."""

    def last(node: object) -> bool:
        return isinstance(node, GatedMap) or hasattr(node, "activation")

    nodes = [node for node in jax.tree.leaves(system, is_leaf=last) if last(node)]
    gated = any(isinstance(node, GatedMap) for node in nodes)
    return not gated and all(error_of(node.activation, 1.0) == 0.0 for node in nodes)
