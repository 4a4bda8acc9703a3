"""Organisms as model folders: round trips and refusals."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import Unknown, certify
from limitset.io import describe, load, rebuild, save
from limitset.networks import GELU, IDENTITY, TANH, Activation
from limitset.replication import (
    Organism,
    ParticleSpec,
    PositionCode,
    draw_organism,
    drop,
    forward,
)


def organism(dtype: Any = jnp.float32, activation: Activation = GELU) -> Organism:
    inner = TANH if activation is TANH else IDENTITY
    spec = ParticleSpec(5, (2, 3), PositionCode.PERLAYER, inner)
    key = jax.random.key(1)
    one = draw_organism(key, (3, 2, 2), activation=activation, spec=spec, dtype=dtype)
    return drop(one, np.arange(10) % 4 == 1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("activation", [GELU, TANH])
def test_organisms_round_trip_bit_for_bit(tmp_path: Path, dtype, activation: Activation):
    one = organism(dtype, activation)
    stored = load(save(tmp_path / "model", one)).system
    assert isinstance(stored, Organism)
    assert stored.spec == one.spec and stored.sizes == one.sizes
    assert stored.activations == one.activations
    assert np.asarray(stored.particles).tobytes() == np.asarray(one.particles).tobytes()
    assert np.array_equal(stored.kept, one.kept)
    x = jnp.ones((2, 3), dtype)
    assert np.array_equal(forward(stored, x), forward(one, x))


def test_dropped_ones_may_be_left_out():
    config, tensors = describe(organism())
    del config["dropped"]
    rebuilt = rebuild(config, tensors)
    assert isinstance(rebuilt, Organism) and bool(rebuilt.kept.all())


def test_nothing_is_certified_of_an_organism():
    assert isinstance(certify(organism(jnp.float64)), Unknown)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [3, 2, 0]}, "sizes is"),
        ({"sizes": [3, 2.0, 2]}, "sizes is"),
        ({"sizes": [3, 2, True]}, "sizes is"),
        ({"sizes": [4, 2, 2]}, "particles have shape"),
        ({"sizes": [10**12, 10**12]}, "particles have shape"),
        ({"activations": ["gelu"]}, "1 activations came for 2 layers"),
        ({"activations": "gelu"}, "activations is"),
        ({"activations": ["gelu", "sine"]}, "activations is"),
        ({"dropped": [10]}, "dropped names particles outside 0 to 9"),
        ({"dropped": [-1]}, "dropped names particles outside 0 to 9"),
        ({"dropped": [[1]]}, "dropped is"),
        ({"particle": {}}, "particle needs exactly the keys"),
        ({"surprise": 1}, "unknown keys"),
    ],
)
def test_what_is_no_organism_is_refused(changes: dict[str, Any], message: str):
    config, tensors = describe(organism())
    with pytest.raises(InputProblem, match=message):
        rebuild(config | changes, tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": "middle"}, "position 'middle' is not known"),
        ({"inputs": 4}, "spec has 4 inputs"),
        ({"widths": [0]}, "widths is"),
        ({"activation": 3}, "activation 3 is not known"),
    ],
)
def test_what_is_no_particle_is_refused(changes: dict[str, Any], message: str):
    config, tensors = describe(organism())
    with pytest.raises(InputProblem, match=message):
        rebuild(config | {"particle": config["particle"] | changes}, tensors)
