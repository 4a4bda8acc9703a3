"""Random linear particles of many shapes, for properties that hold of all of them."""

import itertools

import numpy as np
from hypothesis import strategies as st

from limitset.replication import ParticleSpec, PositionCode, project_to_replicator

# Depths 2 to 4, inputs 4 to 6, every position code. One unit in a layer is a case of its own.
SPECS = st.sampled_from(
    [
        ParticleSpec(inputs, widths, position)
        for inputs in (4, 5, 6)
        for depth in (2, 3, 4)
        for widths in itertools.product(range(1, 5), repeat=depth - 1)
        for position in PositionCode
    ]
)
SEEDS = st.integers(0, 2**32 - 1)

# A few of them, for tests that compile.
SOME = (
    ParticleSpec(),
    ParticleSpec(inputs=5, widths=(3, 3)),
    ParticleSpec(inputs=6, widths=(3,), position=PositionCode.PERLAYER),
    ParticleSpec(inputs=5, widths=(2, 3, 2), position=PositionCode.L2COL),
    ParticleSpec(inputs=4, widths=(4, 2), position=PositionCode.KERAS2019),
    ParticleSpec(inputs=4, widths=(2, 2), position=PositionCode.RAW),
)


def draw(spec: ParticleSpec, seed: int, count: int | None = None) -> np.ndarray:
    """Normal weights of deviation 0.7, one vector, or `count` of them."""
    shape = (spec.weight_count,) if count is None else (count, spec.weight_count)
    return 0.7 * np.random.default_rng(seed).standard_normal(shape)


def draw_replicator(spec: ParticleSpec, seed: int) -> np.ndarray:
    """A drawn particle projected onto the replicators, to rounding.

    Later matrices are kept away from the product 0, beside which numbers grow without bound.
    """
    weights = draw(spec, seed)
    start = spec.shapes[0][0] * spec.shapes[0][1]
    weights[start:] = np.where(weights[start:] < 0, -0.3, 0.3) + weights[start:]
    return np.asarray(project_to_replicator(spec, weights).weights)


def show(spec: ParticleSpec) -> str:
    """A name for the cases of a test."""
    return f"{spec.inputs}-{'-'.join(map(str, spec.widths))}-{spec.position.value}"
