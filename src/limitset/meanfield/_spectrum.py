"""The boundary of the bulk of the spectrum, traced, and counts of eigenvalues outside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from limitset._result import Evidence, InputProblem
from limitset.meanfield._checks import require_number
from limitset.meanfield._roots import bracketed_root, least_between
from limitset.meanfield._spectral_law import AbstractSpectralLaw, Segment

_BATCH = 64
_HALVINGS = 60
# Distances from a pole below which nothing is resolved; eigenvalues this near to 0 do occur.
_NEAREST, _FURTHEST = 1e-290, 1e9
_ISOLATED_WITHIN = 1e-6


@dataclass(frozen=True)
class SpectralBoundary:
    """The boundary of the bulk: closed curves, symmetric about the real axis.

    **Arguments:**

    - `curves`: one for each component, from its right end over the upper half plane and back.
    - `intervals`: where the components meet the real axis, from left to right.
    - `law`: what they were computed from.
    """

    curves: tuple[Complex[np.ndarray, " points"], ...]
    intervals: tuple[Segment, ...]
    law: AbstractSpectralLaw
    evidence: Evidence = field(default=Evidence.FLOAT64)

    @property
    def right_end(self) -> float:
        """The largest real part in the bulk."""
        return self.intervals[-1][1]


def spectral_boundary(law: AbstractSpectralLaw, *, points: int = 129) -> SpectralBoundary:
    """The curves on which the spectral radius is 1; inside them it is larger.

    The radius falls with the distance from the real axis, so that every component is what lies
    between a curve and its mirror image over an interval of the real axis. The intervals are found
    first: every one contains a segment where the radius is infinite, and between two neighbouring
    segments it is log-convex. No component is missed, and none is taken for two.

    **Arguments:** `law`, as from `spectrum_at` or `SampledSpectrum`; `points`, of the upper half of
    each curve.

    **Returns:** a `SpectralBoundary`, asymptotic for n -> infinity, in float64.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import FixedPointSpectrum
    >>> disc = spectral_boundary(FixedPointSpectrum(GatedParameters(gain=2.4), 0.0))
    >>> [[round(end, 6) for end in interval] for interval in disc.intervals]
    [[-1.1, 0.1]]

    **Reference:** arXiv 2007.14823.
    """
    _require_law(law)
    if not isinstance(points, int) or points < 3:
        raise InputProblem(f"points is {points!r}; give a whole number, 3 or more")

    intervals = tuple(_real_intervals(_on_axis(law), law.segments()))
    curves = tuple(_curve(law, interval, points) for interval in intervals)
    return SpectralBoundary(curves, intervals, law)


def spectral_radii(
    law: AbstractSpectralLaw, eigenvalues: Inexact[Array | np.ndarray, "..."]
) -> Float[np.ndarray, " k"]:
    """The spectral radius of the matrix of averages at many eigenvalues; the bulk has 1 or more."""
    _require_law(law)
    return np.asarray(_radii(law, jnp.asarray(eigenvalues, complex)))


def outside_fraction(
    law: AbstractSpectralLaw,
    eigenvalues: Inexact[Array | np.ndarray, "..."],
    margin: float = 0.0,
) -> float:
    """How many of the eigenvalues of a network lie outside the bulk that the law predicts.

    **Arguments:** `law`; `eigenvalues`, all of them; `margin`: an eigenvalue counts as outside if
    it still were with all couplings stronger by this part. Eigenvalues that equal one of the law's
    `isolated` values to 1e-6 are inside.

    **Returns:** their number divided by that of all eigenvalues.

    **Raises:** `InputProblem` for eigenvalues that are not finite.

    >>> from limitset.networks import GatedParameters
    >>> from limitset.meanfield import FixedPointSpectrum
    >>> disc = FixedPointSpectrum(GatedParameters(gain=2.0), 0.0)  # centre -1/2, radius 1/2
    >>> outside_fraction(disc, np.array([-0.5 + 0.4j, 0.02, 0.2, -1.0]), margin=0.06)
    0.25
    """
    require_number("margin", margin)
    values = np.asarray(eigenvalues, complex)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise InputProblem(
            f"eigenvalues have shape {values.shape}; give a vector of finite numbers, as from "
            "numpy.linalg.eigvals"
        )
    outside = spectral_radii(law, values) * (1 + margin) ** 2 < 1
    for value in law.isolated():
        outside &= np.abs(values - value) > _ISOLATED_WITHIN
    return float(outside.mean())


def right_end(law: AbstractSpectralLaw) -> float:
    """The largest real part in the bulk, without tracing it."""
    last = max(high for _, high in law.segments())
    return last + _distance(_on_axis(law), last, 1, _FURTHEST)


def _on_axis(law: AbstractSpectralLaw) -> Callable[[float], float]:
    return lambda x: float(_radius(law, jnp.asarray(complex(x))))


def _real_intervals(
    radius: Callable[[float], float], segments: Sequence[Segment]
) -> list[tuple[float, float]]:
    """Intervals of the real axis on which the radius is 1 or more, given where it is infinite."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted(segments):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    ends = [merged[0][0] - _distance(radius, merged[0][0], -1, _FURTHEST)]
    for (_, left), (right, _) in zip(merged, merged[1:], strict=False):
        ends += _gap(radius, left, right)
    ends.append(merged[-1][1] + _distance(radius, merged[-1][1], 1, _FURTHEST))
    return list(zip(ends[0::2], ends[1::2], strict=True))


def _gap(radius: Callable[[float], float], left: float, right: float) -> list[float]:
    """Two ends of the bulk between two segments, or none where they are one component."""
    at, value = least_between(radius, left, right)
    if value >= 1:
        return []
    return [
        left + _distance(radius, left, 1, at - left),
        right - _distance(radius, right, -1, right - at),
    ]


def _distance(radius: Callable[[float], float], end: float, side: int, most: float) -> float:
    """How far from the end of a segment the radius, falling from there, comes to 1."""

    def logarithm(log_distance: float) -> float:
        # Beyond the range of floats only the sign matters.
        value = radius(end + side * float(np.exp(log_distance)))
        return float(np.clip(np.log(np.maximum(value, 1e-300)), -1e3, 1e3))

    # Nearer to the end there is no float.
    nearest = max(_NEAREST, 2 * float(np.spacing(abs(end))))
    if logarithm(np.log(nearest)) < 0:
        return 0.0
    return float(np.exp(bracketed_root(logarithm, float(np.log(nearest)), float(np.log(most)))))


def _curve(
    law: AbstractSpectralLaw, interval: Segment, points: int
) -> Complex[np.ndarray, " points"]:
    low, high = interval
    x = (high + low) / 2 + (high - low) / 2 * np.cos(np.linspace(0, np.pi, points))
    x[0], x[-1] = high, low
    top, height = 1.0, np.zeros(points)
    while bool((spectral_radii(law, x + 1j * top) >= 1).any()):
        top *= 2
    bottom, ceiling = np.zeros(points), np.full(points, top)
    for _ in range(_HALVINGS):
        height = (bottom + ceiling) / 2
        inside = spectral_radii(law, x + 1j * height) >= 1
        bottom, ceiling = np.where(inside, height, bottom), np.where(inside, ceiling, height)
    height[0] = height[-1] = 0.0
    upper = x + 1j * height
    return np.concatenate([upper, upper[-2::-1].conj()])


@eqx.filter_jit
def _radius(law: AbstractSpectralLaw, eigenvalue: Complex[Array, ""]) -> Float[Array, ""]:
    return law.radius(eigenvalue)


@eqx.filter_jit
def _radii(law: AbstractSpectralLaw, eigenvalues: Complex[Array, " k"]) -> Float[Array, " k"]:
    # In batches: units times eigenvalues would not fit into memory.
    return jax.lax.map(law.radius, eigenvalues, batch_size=_BATCH)


def _require_law(law: AbstractSpectralLaw) -> None:
    if not isinstance(law, AbstractSpectralLaw):
        raise InputProblem(
            f"law is a {type(law).__name__}; give spectrum_at(point), a SampledSpectrum or the "
            "spectrum of a cell"
        )
