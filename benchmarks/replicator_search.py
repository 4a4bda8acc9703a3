"""Is there a stable self-replicator that is not zero, with a nonlinear activation?

Linear particles have none: whatever they replicate, one eigenvalue of self-application is outside
the unit circle. Here particles with other activations apply themselves to themselves from random
weights, again and again; and particles trained to answer their own weights are refined by Newton's
method. The most stable point of each kind is proved, or not.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset.networks import RELU, SIGMOID, SOFTPLUS, TANH, Activation
from limitset.proofs import MapFixedPoint, prove_map_fixed_point
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    apply_to,
    draw_particles,
    replication_gradient,
)

ACTIVATIONS = (TANH, SIGMOID, SOFTPLUS, RELU)
CODES = (PositionCode.COLMAX, PositionCode.PERLAYER, PositionCode.RAW, PositionCode.KERAS2019)
WIDTHS = ((1,), (2,), (3,), (5,), (2, 2), (3, 3), (5, 5), (2, 2, 2))
SCALES = (1.0, 4.0)
STARTS, STEPS, LESSONS, RATE, MOMENTUM = 500, 400, 3000, 0.02, 0.9
# Beyond these, weights count as diverged, as zero, as still moving, and as neutral.
LARGE, SMALL, STILL, NEUTRAL = 1e6, 1e-4, 1e-9, 1e-3
Batch = Float[Array, "N n"]
Points = Float[np.ndarray, "k n"]


@dataclass(frozen=True)
class Search:
    """What became of all starts of one kind of particle; points are nonzero and distinct."""

    starts: int
    diverged: int
    zero: int
    fixed: int
    points: Points
    radii: Float[np.ndarray, " k"]

    def record(self) -> dict[str, Any]:
        """Counts, and the range of spectral radii."""
        stable = int((self.radii < 1 - NEUTRAL).sum())
        unstable = int((self.radii > 1 + NEUTRAL).sum())
        found = {
            "starts": self.starts,
            "diverged": self.diverged,
            "zero": self.zero,
            "fixed": self.fixed,
            "other": self.starts - self.diverged - self.zero - self.fixed,
            "distinct": len(self.points),
            "stable": stable,
            "neutral": len(self.points) - stable - unstable,
            "unstable": unstable,
        }
        if len(self.points):
            found |= {"least_radius": self.radii.min(), "largest_radius": self.radii.max()}
        return {key: np.asarray(value).item() for key, value in found.items()}


def iterate(spec: ParticleSpec, start: Batch, steps: int) -> Search:
    """Self-application of each start, `steps` times."""

    @jax.jit
    def run(weights: Batch) -> Batch:
        def step(_: int, w: Batch) -> Batch:
            return jnp.clip(jnp.nan_to_num(_applied(spec, w), nan=LARGE), -LARGE, LARGE)

        return jax.lax.fori_loop(0, steps, step, weights)

    return _sorted(spec, run(start))


def train_and_refine(spec: ParticleSpec, start: Batch, lessons: int) -> Search:
    """Self-training with momentum, then Newton's method for the fixed points beside."""

    @jax.jit
    def run(weights: Batch) -> Batch:
        def lesson(_: int, both: tuple[Batch, Batch]) -> tuple[Batch, Batch]:
            w, v = both
            v = MOMENTUM * v + jnp.nan_to_num(replication_gradient(spec, w))
            return jnp.clip(w - RATE * v, -LARGE, LARGE), v

        def newton(_: int, w: Batch) -> Batch:
            slopes = _jacobians(spec, w) - jnp.eye(spec.weight_count)
            step = jnp.linalg.solve(slopes, (_applied(spec, w) - w)[..., None])[..., 0]
            return jnp.clip(jnp.nan_to_num(w - step, nan=LARGE), -LARGE, LARGE)

        trained = jax.lax.fori_loop(0, lessons, lesson, (weights, jnp.zeros_like(weights)))[0]
        return jax.lax.fori_loop(0, 30, newton, trained)

    return _sorted(spec, run(start))


def _applied(spec: ParticleSpec, weights: Batch) -> Batch:
    return jax.vmap(lambda w: apply_to(spec, w, w))(weights)


def _jacobians(spec: ParticleSpec, weights: Batch) -> Float[Array, "N n n"]:
    return jax.vmap(jax.jacfwd(lambda w: apply_to(spec, w, w)))(weights)


def _sorted(spec: ParticleSpec, ended: Batch) -> Search:
    size = np.asarray(jnp.abs(ended).max(axis=1))
    moved = np.asarray(jnp.abs(_applied(spec, ended) - ended).max(axis=1))
    diverged, zero = ~(size < LARGE), size < SMALL
    fixed = ~diverged & ~zero & (moved < STILL * (1 + size))
    kept = np.asarray(ended)[fixed]
    _, first = np.unique(np.round(kept, 5), axis=0, return_index=True)
    points = kept[first]
    slopes = np.asarray(_jacobians(spec, jnp.asarray(points)))
    radii = np.abs(np.linalg.eigvals(slopes)).max(axis=1) if len(points) else np.zeros(0)
    order = np.argsort(radii)
    left, at_zero, still = (int(mask.sum()) for mask in (diverged, zero, fixed))
    return Search(len(size), left, at_zero, still, points[order], radii[order])


def prove_best(spec: ParticleSpec, search: Search) -> dict[str, Any] | None:
    """The theorem about the most stable point, with its weights; None where there is none."""
    if not len(search.points) or not search.radii[0] < 1 - NEUTRAL:
        return None
    weights = search.points[0]
    answer = prove_map_fixed_point(SelfApplication(spec), weights)
    if not isinstance(answer, MapFixedPoint):
        return {"proved": False, "reason": str(answer)}
    # How the answer to each weight depends on its value alone, the other weights held.
    by_value = jax.vmap(
        lambda v, w: jax.jvp(lambda x: apply_to(spec, w, x), (w,), (v,))[1],
        in_axes=(0, None),
    )(jnp.eye(len(weights)), jnp.asarray(weights))
    return {
        "proved": answer.stability.value == "stable" and answer.excludes_zero,
        "stability": answer.stability.value,
        "spectral_radius": float(search.radii[0]),
        "radius": float(answer.radius.max()),
        "no_other_within": answer.uniqueness_radius,
        "attracts_within": answer.basin_radius,
        "slope_by_value": float(jnp.abs(jnp.diagonal(by_value)).max()),
        "weights": weights.tolist(),
    }


def _kinds(quick: bool) -> list[ParticleSpec]:
    if quick:
        return [ParticleSpec(widths=(3, 3), activation=a) for a in (TANH, SIGMOID)]
    return [
        ParticleSpec(widths=widths, position=code, activation=activation)
        for activation in ACTIVATIONS
        for widths in WIDTHS
        for code in CODES
    ]


def _name(spec: ParticleSpec) -> str:
    return f"{spec.activation.name} {spec.widths} {spec.position.value}"


def _trains(spec: ParticleSpec) -> bool:
    """Newton's method needs slopes that are continuous, and is dear for large particles."""
    smooth: tuple[Activation, ...] = (TANH, SIGMOID, SOFTPLUS)
    return (
        spec.activation in smooth
        and spec.position is PositionCode.COLMAX
        and spec.weight_count <= 30
    )


def main() -> None:
    """Search all kinds, prove the best of each, and keep the record."""
    arguments = _measure.parse_arguments(__doc__)
    results: dict[str, Any] = {}
    for spec in _kinds(arguments.quick):
        record: dict[str, Any] = {}
        starts = 60 if arguments.quick else STARTS
        for scale in SCALES:
            start = scale * draw_particles(jax.random.key(0), spec, starts)
            found = iterate(spec, start, STEPS)
            record[f"self-application from {scale:g} times Xavier"] = found.record()
            best = prove_best(spec, found)
            if best is not None:
                record[f"best from {scale:g}"] = best
        if _trains(spec):
            start = draw_particles(jax.random.key(1), spec, starts)
            trained = train_and_refine(spec, start, 100 if arguments.quick else LESSONS)
            record["self-training, then Newton"] = trained.record()
            best = prove_best(spec, trained)
            if best is not None:
                record["best trained"] = best
        results[_name(spec)] = record
        proved = [k for k, v in record.items() if k.startswith("best") and v["proved"]]
        print(f"{_name(spec)}: {len(proved)} proved stable", flush=True)
    _measure.store("replicator_search", arguments, results)


if __name__ == "__main__":
    main()
