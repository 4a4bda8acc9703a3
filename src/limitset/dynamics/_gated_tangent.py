"""Tangents of gated networks by three products with (n, n) matrices, never the (3n, 3n) Jacobian.

At a state `(h, z, r)`, with `R = state_weight (phi sigma_r) + I_h`, `c = sigma_z' (R - h)` and
`[v] = diag(v)`, the Jacobian has the rows

- `h`: `[sigma_z] (J_h [phi' sigma_r] - 1)`, `[c]`, `[sigma_z] J_h [phi sigma_r']`
- `z`: `J_z [phi'] / update_time`, `-1 / update_time`, 0
- `r`: `J_r [phi'] / output_time`, 0, `-1 / output_time`
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from limitset._types import Input, Matrix, State
from limitset.dynamics._gated_network_map import GatedNetworkMap
from limitset.dynamics._linear_map import Pushforward, Vectors
from limitset.networks import GatedNetwork


class _Local(NamedTuple):
    """What single units contribute at one state."""

    said: State
    said_slope: State
    gate: State
    gate_slope: State


class _Change(NamedTuple):
    """`R`, `update_weight phi + I_z` and `output_weight phi + I_r`, or how they change."""

    target: Array
    update: Array
    output: Array


def gated_jacobian(network: GatedNetwork, x: State, u: Input) -> Matrix:
    """The Jacobian of a gated network's velocity, dense, for spectra.

    `d velocity / dx` in blocks over `(h, z, r)`. A large network's tangents are better pushed by
    `linearise`, which needs a third of the products and no matrix of this size.

    **Arguments:** `network`; `x`, the state, shape (3n,); `u`, shape (m,).

    **Returns:** shape (3n, 3n).

    >>> import jax
    >>> from limitset.networks import GatedParameters, random_gated_network
    >>> network = random_gated_network(jax.random.key(0), 4, GatedParameters())
    >>> gated_jacobian(network, jax.numpy.zeros(12), jax.numpy.zeros(0)).shape
    (12, 12)

    **Reference:** arXiv 2007.14823.
    """
    own, size = network.parameters, network.size
    h, z, _ = jnp.split(x, 3)
    local = _local(network, x)
    target = _drive(network, local, u).target
    speed = own.update_gate(z)[:, None]
    identity, nothing = jnp.eye(size, dtype=x.dtype), jnp.zeros((size, size), x.dtype)
    pushed = network.state_weight * (local.said_slope * local.gate)
    opened = network.state_weight * (local.said * local.gate_slope)
    turned = jnp.diag(own.update_gate_slope(z) * (target - h))
    return jnp.block(
        [
            [speed * (pushed - identity), turned, speed * opened],
            [
                network.update_weight * local.said_slope / own.update_time,
                -identity / own.update_time,
                nothing,
            ],
            [
                network.output_weight * local.said_slope / own.output_time,
                nothing,
                -identity / own.output_time,
            ],
        ]
    )


def linearise_gated(network: GatedNetwork, x: State, u: Input) -> tuple[State, Pushforward]:
    """The velocity, and its tangent map."""
    own = network.parameters
    h, z, r = jnp.split(x, 3)
    local = _local(network, x)
    drive = _drive(network, local, u)
    speed = own.update_gate(z)
    turn = own.update_gate_slope(z) * (drive.target - h)
    value = jnp.concatenate(
        [
            speed * (drive.target - h),
            (drive.update - z) / own.update_time,
            (drive.output - r) / own.output_time,
        ]
    )

    def push(vectors: Vectors) -> Vectors:
        along_h, along_z, along_r = jnp.split(vectors, 3)
        change = _push(network, local, along_h, along_r)
        return jnp.concatenate(
            [
                speed[:, None] * (change.target - along_h) + turn[:, None] * along_z,
                (change.update - along_z) / own.update_time,
                (change.output - along_r) / own.output_time,
            ]
        )

    return value, push


def linearise_gated_map(system: GatedNetworkMap, x: State, u: Input) -> tuple[State, Pushforward]:
    """One exponential step, and its tangent map."""
    network, own = system.network, system.network.parameters
    h, z, r = jnp.split(x, 3)
    local = _local(network, x)
    drive = _drive(network, local, u)
    keep, keep_z, keep_r = system.keep(z), system.update_keep, system.output_keep
    turn = system.step * own.update_gate_slope(z) * keep * (drive.target - h)
    value = jnp.concatenate(
        [
            drive.target + keep * (h - drive.target),
            drive.update + keep_z * (z - drive.update),
            drive.output + keep_r * (r - drive.output),
        ]
    )

    def push(vectors: Vectors) -> Vectors:
        along_h, along_z, along_r = jnp.split(vectors, 3)
        change = _push(network, local, along_h, along_r)
        return jnp.concatenate(
            [
                change.target + keep[:, None] * (along_h - change.target) + turn[:, None] * along_z,
                change.update + keep_z * (along_z - change.update),
                change.output + keep_r * (along_r - change.output),
            ]
        )

    return value, push


def _local(network: GatedNetwork, x: State) -> _Local:
    own = network.parameters
    h, _, r = jnp.split(x, 3)
    return _Local(own.phi(h), own.phi_slope(h), own.output_gate(r), own.output_gate_slope(r))


def _drive(network: GatedNetwork, local: _Local, u: Input) -> _Change:
    state_input, update_input, output_input = network.enter(u)
    return _Change(
        network.state_weight @ (local.said * local.gate) + state_input,
        network.update_weight @ local.said + update_input,
        network.output_weight @ local.said + output_input,
    )


def _push(network: GatedNetwork, local: _Local, along_h: Vectors, along_r: Vectors) -> _Change:
    """The three products: all that costs O(n^2) for each vector."""
    said = local.said_slope[:, None] * along_h
    heard = local.gate[:, None] * said + (local.said * local.gate_slope)[:, None] * along_r
    return _Change(
        network.state_weight @ heard, network.update_weight @ said, network.output_weight @ said
    )
