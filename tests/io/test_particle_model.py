"""Model folders of the kind `particle`: bit-exact, and refused in one line where damaged."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.io import describe, load, rebuild, save
from limitset.networks import IDENTITY, SIGMOID, Activation
from limitset.replication import Particle, ParticleSpec, PositionCode
from linear_particles import SOME, draw, show


@pytest.mark.parametrize("spec", SOME, ids=show)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_round_trip(spec: ParticleSpec, dtype: Any, tmp_path: Path):
    weights = jnp.asarray(draw(spec, 0), dtype)
    again = load(save(tmp_path / "model", Particle(spec, weights))).system
    assert isinstance(again, Particle) and again.spec == spec
    assert again.weights.dtype == dtype and np.array_equal(again.weights, weights)


def test_activations_keep_their_names(tmp_path: Path):
    spec = ParticleSpec(activation=SIGMOID)
    again = load(save(tmp_path / "model", Particle(spec, jnp.zeros(14)))).system
    assert isinstance(again, Particle) and again.spec.activation == SIGMOID
    own = Activation("sigmoid", IDENTITY.function)
    with pytest.raises(InputProblem, match="stands for another function"):
        describe(Particle(ParticleSpec(activation=own), jnp.zeros(14)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inputs", 3),
        ("inputs", True),
        ("inputs", 4.0),
        ("inputs", "4"),
        ("widths", []),
        ("widths", [2, 0]),
        ("widths", [2, -1]),
        ("widths", "22"),
        ("widths", [2, 2, 2]),
        ("widths", [10**12]),
        ("position", "polar"),
        ("position", None),
        ("activation", "cube"),
    ],
)
def test_configurations_that_do_not_fit(key: str, value: object):
    config, tensors = describe(Particle(ParticleSpec(), jnp.zeros(14)))
    with pytest.raises(InputProblem) as problem:
        rebuild({**config, key: value}, dict(tensors))
    assert "\n" not in str(problem.value)


def test_tensors_that_do_not_fit():
    config, tensors = describe(Particle(ParticleSpec(), jnp.zeros(14)))
    fewer = {name: t for name, t in tensors.items() if name != "weight_2"}
    for broken in (fewer, {**tensors, "bias": np.zeros(2)}, {**tensors, "weight_0": np.zeros(8)}):
        with pytest.raises(InputProblem):
            rebuild(config, broken)
    with pytest.raises(InputProblem, match="weights has shape"):
        Particle(ParticleSpec(), jnp.zeros(13))


def test_the_configuration_is_plain_json():
    config, tensors = describe(Particle(ParticleSpec(5, (3, 2), PositionCode.RAW), jnp.zeros(23)))
    assert (
        json.loads(json.dumps(config))
        == config
        == {
            "kind": "particle",
            "inputs": 5,
            "widths": [3, 2],
            "position": "raw",
            "activation": "identity",
        }
    )
    assert {name: t.shape for name, t in tensors.items()} == {
        "weight_0": (3, 5),
        "weight_1": (2, 3),
        "weight_2": (1, 2),
    }
