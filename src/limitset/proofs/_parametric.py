"""A field with a parameter, `f(x, a)`, on balls: its derivatives, and balls of its weights."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset.dynamics import SCHEMES, BiasFamily, Field, MapFamily, RateMap
from limitset.networks import ACTIVATIONS, Elman, RateFamily, RateNetwork
from limitset.proofs._ball import Ball
from limitset.proofs._derivative import (
    directional,
    jacobian,
    second_directional,
    third_directional,
)
from limitset.proofs._enclose import enclose


class ParametricField:
    """Enclosures of `g(y) = f(x, a)`, `y = (x, a)`, and of its first three derivatives.

    The arrays of the field are arguments of the enclosed programs, and may be balls: then every
    statement holds for every field whose weights are in the balls. Programs are traced anew for
    each object of this class, since a field may read what its user changes later; only those of
    `RateFamily`, `MapFamily` and `BiasFamily`, which nothing can change, are kept.

    **Arguments:**

    - `field`: `f(x, a)`, in JAX; a pytree (`RateFamily`, your own module) or a plain function.
    - `weight_radius`: each entry of arrays with at least one axis may be off by this much.

    `function` is `g` itself in JAX, of `y` and the list `weights` of arrays.
    """

    def __init__(self, field: Field, weight_radius: float = 0.0) -> None:
        if not 0 <= weight_radius < np.inf:
            raise InputProblem(f"weight_radius is {weight_radius}; give a finite number, 0 or more")
        arrays, static = eqx.partition(field, _is_weight)
        leaves, structure = jax.tree.flatten(arrays)
        if weight_radius > 0 and not any(leaf.ndim for leaf in leaves):
            raise InputProblem(
                "weight_radius needs a field that is a pytree with its weights as leaves, and this "
                "one has no array with an axis; use RateFamily or an equinox module"
            )
        self.weights = [_ball(leaf, weight_radius) for leaf in leaves]
        kept = _is_immutable(field) and not jax.tree.leaves(static)
        self.function = _velocity(structure, None if kept else static)
        self._programs = _kept_programs(structure) if kept else _programs(self.function)

    @property
    def exact(self) -> "ParametricField":
        """The same field with its weights as stored, without a radius."""
        stored = copy.copy(self)
        stored.weights = [Ball.exact(weight.mid) for weight in self.weights]
        return stored

    def velocity(self, y: Ball) -> Ball:
        """`g(y)`."""
        return self._programs("velocity")(y, self.weights)

    def jacobian(self, y: Ball) -> Ball:
        """`Dg(y)`, of shape (n, n + 1)."""
        return self._programs("jacobian")(y, self.weights)

    def second(self, y: Ball, u: Ball, v: Ball) -> Ball:
        """`D^2 g(y)(u_k, v_k)` for directions `u`, `v` of shape (k, n + 1)."""
        return self._programs("second")(y, u, v, self.weights)

    def third(self, y: Ball, u: Ball, v: Ball, w: Ball) -> Ball:
        """`D^3 g(y)(u_k, v_k, w_k)` for directions of shape (k, n + 1)."""
        return self._programs("third")(y, u, v, w, self.weights)

    def slopes(self, y: Ball, u: Ball) -> Ball:
        """`Dg(y) u_k` for directions `u` of shape (k, n + 1)."""
        return self._programs("slopes")(y, u, self.weights)

    def bends(self, y: Ball, u: Ball) -> Ball:
        """`D^2 g(y)(u_k, .)` for directions `u` of shape (k, n + 1), of shape (k, n, n + 1)."""
        return self._programs("bends")(y, u, self.weights)

    def real_critical_value(self, z: Ball, phi: Ball, still: Ball, eigenvalue: Ball) -> Ball:
        """`(phi.v - 1, f - still x, J v - eigenvalue v)` for `z = (a, x, v)`.

        `still` is 0 for flows, where states at rest are zeros, and 1 for maps, where they are
        fixed points.
        """
        return self._programs("real_critical_value")(z, phi, still, eigenvalue, self.weights)

    def real_critical_jacobian(self, z: Ball, phi: Ball, still: Ball, eigenvalue: Ball) -> Ball:
        """Its Jacobian, of shape (2 n + 1, 2 n + 1)."""
        return self._programs("real_critical_jacobian")(z, phi, still, eigenvalue, self.weights)

    def rotation_value(self, z: Ball, phi: Ball) -> Ball:
        """`(phi.v1, phi.v2 - 1, f - x, J v - exp(i theta) v)` for `z = (a, theta, x, v1, v2)`,
        `v = v1 + i v2`."""
        return self._programs("rotation_value")(z, phi, self.weights)

    def rotation_jacobian(self, z: Ball, phi: Ball) -> Ball:
        """Its Jacobian, of shape (3 n + 2, 3 n + 2)."""
        return self._programs("rotation_jacobian")(z, phi, self.weights)

    def origin_value(self, z: Ball, phi: Ball) -> Ball:
        """`(phi.v - 1, J v)` at the state 0, for `z = (a, v)`."""
        return self._programs("origin_value")(z, phi, self.weights)

    def origin_jacobian(self, z: Ball, phi: Ball) -> Ball:
        """Its Jacobian, of shape (n + 1, n + 1)."""
        return self._programs("origin_jacobian")(z, phi, self.weights)


def _is_immutable(field: object) -> bool:
    """Whether the structure of the arrays says all about the program."""
    # Exact types: a subclass may compute anything.
    if type(field) is RateFamily:
        system = field.network
    elif type(field) is MapFamily:
        system = field.map
    elif type(field) is BiasFamily:
        system = field.system
    else:
        return False
    if type(system) is RateMap and type(system.scheme) in SCHEMES.values():
        system = system.network
    if type(system) is not RateNetwork and type(system) is not Elman:
        return False
    return ACTIVATIONS.get(system.activation.name) is system.activation


def _is_weight(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and bool(np.issubdtype(leaf.dtype, np.floating))


def _ball(leaf: Any, radius: float) -> Ball:
    if leaf.dtype.itemsize > 8:
        raise InputProblem(f"an array of the field is {leaf.dtype}; convert it to float64")
    entries = np.asarray(leaf, np.float64)
    if not np.isfinite(entries).all():
        raise InputProblem("an array of the field has NaN or infinite entries; give finite ones")
    return Ball(entries.copy(), np.full(entries.shape, radius if entries.ndim else 0.0))


Velocity = Callable[[jax.Array, list[jax.Array]], jax.Array]
Programs = Callable[[str], Callable[..., Ball]]


def _velocity(structure: Any, static: Any) -> Velocity:
    """`g(y)` of the field with the given weights."""

    def velocity(y: jax.Array, weights: list[jax.Array]) -> jax.Array:
        arrays = jax.tree.unflatten(structure, weights)
        field = arrays if static is None else eqx.combine(arrays, static)
        return field(y[:-1], y[-1])

    return velocity


@functools.lru_cache(maxsize=256)
def _kept_programs(structure: Any) -> Programs:
    """Programs of all families of one kind, form and activation."""
    return _programs(_velocity(structure, None))


def _programs(velocity: Velocity) -> Programs:
    """The enclosed programs of a field, each traced on its first use."""
    functions = {
        "velocity": velocity,
        "jacobian": jacobian(velocity),
        "second": jax.vmap(second_directional(velocity), (None, 0, 0, None)),
        "third": jax.vmap(third_directional(velocity), (None, 0, 0, 0, None)),
        "slopes": jax.vmap(directional(velocity), (None, 0, None)),
        "bends": jax.vmap(jacobian(directional(velocity)), (None, 0, None)),
        **_critical_systems(velocity),
    }
    enclosed = {name: enclose(function) for name, function in functions.items()}
    return enclosed.__getitem__


def _critical_systems(velocity: Callable[..., jax.Array]) -> dict[str, Callable[..., jax.Array]]:
    """Systems of an equilibrium or fixed point and its critical vector, and their Jacobians."""

    def along(x: jax.Array, a: jax.Array, v: jax.Array, weights: list[jax.Array]) -> jax.Array:
        direction = jnp.concatenate([v, jnp.zeros(1)])
        return directional(velocity)(jnp.concatenate([x, a]), direction, weights)

    def real_critical(
        z: jax.Array,
        phi: jax.Array,
        still: jax.Array,
        eigenvalue: jax.Array,
        weights: list[jax.Array],
    ) -> jax.Array:
        a, (x, v) = z[:1], jnp.split(z[1:], 2)
        rest = velocity(jnp.concatenate([x, a]), weights) - still * x
        critical = along(x, a, v, weights) - eigenvalue * v
        return jnp.concatenate([jnp.stack([phi @ v - 1]), rest, critical])

    def rotation(z: jax.Array, phi: jax.Array, weights: list[jax.Array]) -> jax.Array:
        a, theta, (x, v1, v2) = z[:1], z[1], jnp.split(z[2:], 3)
        c, s = jnp.cos(theta), jnp.sin(theta)
        scale = jnp.stack([phi @ v1, phi @ v2 - 1])
        rest = velocity(jnp.concatenate([x, a]), weights) - x
        real = along(x, a, v1, weights) - c * v1 + s * v2
        imaginary = along(x, a, v2, weights) - c * v2 - s * v1
        return jnp.concatenate([scale, rest, real, imaginary])

    def origin(z: jax.Array, phi: jax.Array, weights: list[jax.Array]) -> jax.Array:
        a, v = z[:1], z[1:]
        critical = along(jnp.zeros_like(v), a, v, weights)
        return jnp.concatenate([jnp.stack([phi @ v - 1]), critical])

    systems = {"real_critical": real_critical, "rotation": rotation, "origin": origin}
    values = {f"{name}_value": system for name, system in systems.items()}
    return values | {f"{name}_jacobian": jacobian(system) for name, system in systems.items()}
