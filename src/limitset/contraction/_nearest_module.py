"""One module's nearest weights, as free parameters."""

import numpy as np
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.contraction._layer import Vector
from limitset.contraction._project_weights import (
    INSIDE,
    nearest_absolute,
    nearest_in_norm,
    nearest_sector,
    nearest_sector_in,
    nearest_self_damped,
    nearest_symmetric,
    nearest_triangular,
    project_in_metric,
)
from limitset.contraction._recover_weights import (
    recover_absolute_value_in,
    recover_sector,
    recover_spectral_norm,
    recover_symmetric,
)
from limitset.contraction._weights import AbstractWeightParametrisation
from limitset.networks import Form

Square = Float[np.ndarray, "n n"]


def nearest_module(
    weight: Square, limit: float, theorem: str, form: Form
) -> AbstractWeightParametrisation:
    """Free parameters whose `explicit(limit, form)` is near `weight`, in a metric of its own."""
    unit = weight / limit
    if theorem == "absolute_value":
        return nearest_absolute(unit)
    if theorem == "self_damped":
        return nearest_self_damped(unit)
    if theorem == "triangular":
        return nearest_triangular(unit)
    if theorem == "symmetric":
        return recover_symmetric(nearest_symmetric(unit))
    if theorem == "singular_value":
        return recover_spectral_norm(*nearest_in_norm(unit))
    # The sector class of the Hopfield form holds the transposes.
    point = nearest_sector(unit if form is Form.FIRING_RATE else unit.T)
    return recover_sector(point.core, point.factor, point.gain)


def nearest_module_in(
    weight: Square, limit: float, theorem: str, form: Form, scale: Vector
) -> AbstractWeightParametrisation:
    """The same in a given diagonal metric: by singular values, absolute values, or the sector."""
    unit = weight / limit
    if theorem == "sector":
        firing = form is Form.FIRING_RATE
        point = nearest_sector_in(unit if firing else unit.T, scale if firing else 1 / scale)
        return recover_sector(point.core, point.factor, point.gain)
    if theorem == "singular_value":
        return recover_spectral_norm(project_in_metric(unit, scale), scale)
    norm = float(np.linalg.norm(np.abs(unit * scale[:, None] / scale), 2))
    free = recover_absolute_value_in(unit * min(1.0, INSIDE / max(norm, 1e-300)), scale)
    if free is None:
        raise InputProblem("the coupling's metric is too wide for float64; couple fewer units")
    return free
