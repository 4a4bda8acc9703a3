"""`limitset prove replicator`: near replicators, lists, balls, organisms, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from command_line import Reply
from limitset.io import save
from limitset.networks import GELU, RateNetwork
from limitset.replication import Particle, ParticleSpec, PositionCode, draw_organism
from linear_particles import draw, draw_replicator
from nonlinear_replicators import REPLICATORS

Command = Callable[..., Reply]
Refused = Callable[..., str]
RAW = ParticleSpec(4, (2,), PositionCode.RAW)


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return save(tmp_path / "linear", Particle(RAW, jnp.asarray(draw_replicator(RAW, 0) + 1e-7)))


def test_a_replicator_near_the_weights(limitset: Command, linear: Path):
    reply = limitset("prove", "replicator", linear)
    assert reply.code == 0 and "an exact self-replicator lies within" in reply.out
    assert "[verified]" in reply.out and "eigenvalue 3" in reply.out
    assert limitset("check", linear / "certificates" / "replicator.json").code == 0
    answer = limitset("prove", "replicator", linear, "--json").answers[0]
    proved = answer["proved"]
    assert proved["distance"] < 1e-5 and proved["unit_eigenvalues"] == RAW.weight_count - 4
    assert proved["stable"] is False and proved["evidence"] == "verified"


def test_what_is_too_far_is_not_proved(limitset: Command, linear: Path, tmp_path: Path):
    reply = limitset("prove", "replicator", linear, "--within", 1e-12)
    assert reply.code == 1 and "not_near" in reply.out
    other = save(tmp_path / "other", Particle(RAW, jnp.asarray(draw(RAW, 3))))
    reply = limitset("prove", "replicator", other, "--json")
    assert reply.code == 1 and reply.answers[0]["proved"] is None
    assert not (other / "certificates").exists()


def test_a_stable_nonlinear_replicator(limitset: Command, tmp_path: Path):
    kept = REPLICATORS["sigmoid"]
    model = save(tmp_path / "sigmoid", Particle(kept.spec, jnp.asarray(kept.weights)))
    reply = limitset("prove", "replicator", model, "--out", tmp_path / "out")
    assert reply.code == 0 and "stable under self-application, attracts" in reply.out
    assert limitset("check", tmp_path / "out" / "replicator.json").code == 0


def test_a_list_and_a_ball(limitset: Command, linear: Path):
    answer = limitset("prove", "replicator", linear, "--positional", "--json").answers[0]
    assert answer["complete"] and answer["count"] == len(answer["replicators"]) > 0
    assert all(not one["stable"] for one in answer["replicators"])
    text = limitset("prove", "replicator", linear, "--positional")
    assert text.out.startswith(f"exactly {answer['count']} positional replicators")
    ball = limitset("prove", "replicator", linear, "--collapse", "--json").answers[0]
    assert 0 < ball["proved"]["radius"] < 2 and ball["proved"]["factor"] < 1
    for name in ("positional_replicators", "collapse"):
        assert limitset("check", linear / "certificates" / f"{name}.json").code == 0


def test_all_particles_of_an_organism(limitset: Command, tmp_path: Path):
    organism = draw_organism(jax.random.key(0), (2, 3, 1))
    spec = organism.spec
    near = np.stack([draw_replicator(spec, k) for k in range(len(organism.particles))])
    near[4] = 0.0
    grown = type(organism)(jnp.asarray(near), organism.sizes, organism.activations, spec)
    model = save(tmp_path / "organism", grown)
    reply = limitset("prove", "replicator", model, "--out", tmp_path / "out", "--json")
    answer = reply.answers[0]
    assert reply.code == 1 and (answer["proved"], answer["particles"]) == (8, 9)
    assert answer["certificates"] == 8 and answer["largest_distance"] < 1e-9
    files = sorted((tmp_path / "out").glob("*.json"))
    assert len(files) == 8 and limitset("check", *files).code == 0


def test_what_cannot_be_proved_is_refused_in_one_line(
    refused: Refused, linear: Path, tmp_path: Path
):
    rate = save(tmp_path / "rate", RateNetwork(jnp.eye(2)))
    assert "kind 'particle'" in refused("prove", "replicator", rate)
    assert "one of them" in refused("prove", "replicator", linear, "--positional", "--collapse")
    assert "--within is" in refused("prove", "replicator", linear, "--within", "nan")
    assert "--reach is" in refused("prove", "replicator", linear, "--positional", "--reach", -1)
    spec = ParticleSpec(activation=GELU)
    gelu = save(tmp_path / "gelu", Particle(spec, jnp.zeros(14)))
    assert "linear particles" in refused("prove", "replicator", gelu, "--positional")
    assert "identity and tanh" in refused("prove", "replicator", gelu, "--collapse")
