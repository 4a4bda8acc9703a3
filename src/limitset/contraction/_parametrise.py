"""Random free parameters of every weight parametrisation, and of assemblies."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._absolute_weights import (
    AbsoluteValueWeight,
    SelfDampedWeight,
    TriangularWeight,
)
from limitset.contraction._factor_weights import DefiniteWeight, SectorWeight, SymmetricWeight
from limitset.contraction._feedback_couplings import SkewCoupling
from limitset.contraction._spectral_weights import (
    OrthogonalScaledWeight,
    QuotientWeight,
    SingularValueWeight,
    SpectralNormWeight,
)
from limitset.contraction._stable_assembly import StableAssembly
from limitset.contraction._weights import AbstractWeightParametrisation
from limitset.networks import Form, find_activation

Keys = tuple[Key[Array, ""], Key[Array, ""], Key[Array, ""]]
Shape = tuple[int, int]


def _absolute_value(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    return AbsoluteValueWeight(_square(keys[0], shape), jnp.zeros(shape, jnp.float32))


def _self_damped(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    theta, damping = _square(keys[0], shape), _normal(keys[1], shape)
    return SelfDampedWeight(theta, damping, jnp.zeros(shape, jnp.float32))


def _triangular(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    theta, damping = _square(keys[0], shape), _normal(keys[1], shape)
    return TriangularWeight(theta, damping, jnp.zeros(shape, jnp.float32))


def _singular_value(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    left, right = _square(keys[0], shape), _square(keys[1], shape)
    spectrum = _normal(keys[2], shape)
    return SingularValueWeight(left, right, spectrum, jnp.zeros(shape, jnp.float32))


def _spectral_norm(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    core = _square(keys[0], shape) / shape[1] ** 0.5
    return SpectralNormWeight(core, jnp.zeros(shape, jnp.float32))


def _quotient(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    core = _square(keys[0], shape) / shape[1] ** 0.5
    return QuotientWeight(core, jnp.zeros(shape, jnp.float32))


def _orthogonal(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    rotation, spectrum = _square(keys[0], shape), _normal(keys[1], shape)
    return OrthogonalScaledWeight(rotation, spectrum, jnp.zeros(shape, jnp.float32))


def _symmetric(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    # Around C = I, where the weights are 0 and eigenvalues of both signs are near.
    spread = 0.3 / shape[1] ** 0.5 * _square(keys[0], shape)
    return SymmetricWeight(jnp.eye(shape[1], dtype=jnp.float32) + spread)


def _definite(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    root = _square(keys[0], shape) / shape[1] ** 0.5
    left, right = 0.1 * _normal(keys[1], shape), 0.1 * _normal(keys[2], shape)
    return DefiniteWeight(root, left, right)


def _sector(keys: Keys, shape: Shape) -> AbstractWeightParametrisation:
    core, root = (_square(k, shape) / shape[1] ** 0.5 for k in keys[:2])
    return SectorWeight(core, 0.3 * root, jnp.full(shape, -0.7, jnp.float32))


PARAMETRISATIONS: dict[str, Callable[[Keys, Shape], AbstractWeightParametrisation]] = {
    "absolute_value": _absolute_value,
    "self_damped": _self_damped,
    "triangular": _triangular,
    "singular_value": _singular_value,
    "spectral_norm": _spectral_norm,
    "quotient": _quotient,
    "orthogonal": _orthogonal,
    "symmetric": _symmetric,
    "definite": _definite,
    "sector": _sector,
}
"""Draws of each weight parametrisation, stacked: from three keys and (modules, units)."""


def random_stable_assembly(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    theorem: str = "absolute_value",
    activation: str = "tanh",
    form: str = "hopfield",
    time_constants: tuple[float, ...] | None = None,
    margin: float = 0.9,
    coupling_gain: float = 0.5,
) -> StableAssembly:
    """Random free parameters (float32) of an assembly of equal modules.

    **Arguments:** `modules`, `units` per module, `inputs`; `theorem`, one of `PARAMETRISATIONS`;
    `time_constants` per module (1 if omitted); `coupling_gain` sets the spread of the coupling's
    entries, `coupling_gain / sqrt(n)`.

    **Raises:** `InputProblem` for sizes or names that do not fit.

    >>> import jax
    >>> random_stable_assembly(jax.random.key(0), modules=3, units=4, inputs=1).explicit().sizes
    (4, 4, 4)
    """
    if min(modules, units) < 1 or inputs < 0:
        raise InputProblem(
            f"modules {modules}, units {units}, inputs {inputs}; give at least 1, 1 and 0"
        )
    size = modules * units
    weight_key, coupling_key, input_key, bias_key = jax.random.split(key, 4)
    coupling = coupling_gain / size**0.5 * _normal(coupling_key, (size, size))
    return StableAssembly(
        weights=_random_weights(weight_key, theorem, (modules, units)),
        coupling=SkewCoupling(coupling, (units,) * modules),
        input_weight=_normal(input_key, (size, inputs)),
        bias=0.1 * _normal(bias_key, (size,)),
        activation=find_activation(activation),
        form=Form(form),
        time_constants=time_constants or (1.0,) * modules,
        margin=margin,
    )


def _random_weights(
    key: Key[Array, ""], theorem: str, shape: Shape
) -> AbstractWeightParametrisation:
    if theorem not in PARAMETRISATIONS:
        raise InputProblem(
            f"theorem {theorem!r} has no parametrisation; use one of {', '.join(PARAMETRISATIONS)}"
        )
    first, second, third = jax.random.split(key, 3)
    return PARAMETRISATIONS[theorem]((first, second, third), shape)


def _square(key: Key[Array, ""], shape: Shape) -> Float[Array, "p n n"]:
    return _normal(key, (*shape, shape[1]))


def _normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jax.random.normal(key, shape, jnp.float32)
