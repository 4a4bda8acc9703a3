"""Certificates about particles: accepted, tied to their model, and refused once edited."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.checker import Verdict, check
from limitset.io import load, proof_document, save, write_proof
from limitset.networks import TANH
from limitset.proofs import (
    MapFixedPoint,
    Refusal,
    prove_all_positional_replicators,
    prove_collapse_ball,
    prove_map_fixed_point,
    prove_replicator,
)
from limitset.replication import (
    Particle,
    ParticleSpec,
    PositionCode,
    SelfApplication,
    draw_particles,
    self_training_step,
)
from linear_particles import draw, draw_replicator, show
from nonlinear_replicators import REPLICATORS

from .forgery import Document, accepts, changed, entry, forgeries, refused, resized, sealed, tensor

SPEC = ParticleSpec(position=PositionCode.PERLAYER)
ONE = ParticleSpec(4, (3,))
KINDS = ["replicator", "collapse", "collapse_tanh", "positional", "stable", "unstable"]


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _subjects() -> dict[str, tuple[Any, Particle]]:
    weights = draw_replicator(SPEC, 1) + 1e-6 * draw(SPEC, 2)
    linear = Particle(SPEC, jnp.asarray(weights))
    tanh = ParticleSpec(5, (2, 2), activation=TANH)
    resting = Particle(tanh, jnp.asarray(draw(tanh, 0)))
    kept = REPLICATORS["softplus"]
    soft = Particle(kept.spec, jnp.asarray(kept.weights))
    one = Particle(ONE, jnp.zeros(ONE.weight_count))
    return {
        "replicator": (prove_replicator(weights, SPEC.positions, SPEC.shapes), linear),
        "collapse": (prove_collapse_ball(SPEC.positions, SPEC.shapes), linear),
        "collapse_tanh": (
            prove_collapse_ball(tanh.positions, tanh.shapes, linear=False),
            resting,
        ),
        "positional": (prove_all_positional_replicators(ONE.positions, ONE.shapes), one),
        "stable": (prove_map_fixed_point(SelfApplication(kept.spec), kept.weights), soft),
        "unstable": _unstable(),
    }


def _unstable() -> tuple[Any, Particle]:
    """A nonzero fixed point of tanh that self-application leaves."""
    spec = ParticleSpec(4, (2,), activation=TANH)
    map_ = SelfApplication(spec)
    for seed in range(40):
        answer = prove_map_fixed_point(map_, 2 * draw(spec, seed))
        if not isinstance(answer, Refusal) and answer.excludes_zero:
            if answer.stability.value == "unstable":
                return answer, Particle(spec, jnp.asarray(answer.center))
    raise AssertionError("no unstable fixed point was found")


@pytest.fixture(scope="module")
def subjects(no_shape_checks: None) -> dict[str, tuple[Any, Particle]]:
    return _subjects()


@pytest.fixture(scope="module")
def paths(
    subjects: dict[str, tuple[Any, Particle]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("particles")
    return {
        name: write_proof(record, particle, folder / f"{name}.json")
        for name, (record, particle) in subjects.items()
    }


def _read(path: Path) -> Document:
    return json.loads(path.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_accepted_with_its_claim_in_words(paths: dict[str, Path], kind: str):
    verdict = check(paths[kind])
    assert verdict.accepted, verdict.reason
    words = {
        "replicator": "an exact self-replicator lies within",
        "collapse": "takes all weights of norm at most",
        "collapse_tanh": "takes all weights of norm at most",
        "positional": "exactly 6 fixed points",
        "stable": "stability under self-application: stable, attracts",
        "unstable": "stability under self-application: unstable",
    }
    assert words[kind] in verdict.claim and "[checked]" in verdict.claim


@pytest.mark.parametrize("kind", KINDS)
def test_tied_to_the_model_beside_it(
    subjects: dict[str, tuple[Any, Particle]], tmp_path: Path, kind: str
):
    record, particle = subjects[kind]
    model = save(tmp_path / "model", particle)
    path = write_proof(record, particle, model / "certificates" / "proof.json", model=model)
    assert check(path).accepted and "the model's weights" in check(path).claim
    again = load(model).system
    assert isinstance(again, Particle) and again.spec == particle.spec
    assert np.array_equal(again.weights, particle.weights)
    save(model, Particle(particle.spec, particle.weights.at[0].add(1e-9)))
    verdict = check(path)
    assert not verdict.accepted and "tensor weight_0" in verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_forged_numbers_and_words_are_true_or_refused(
    paths: dict[str, Path], tmp_path: Path, kind: str
):
    """What is still accepted after one edit claims no more than the original, or is as true."""
    original, rng = _read(paths[kind]), np.random.default_rng(0)
    target, tried = tmp_path / "forged.json", 0
    for place, forged in forgeries(original, rng):
        tried += 1
        if accepts(target, sealed(forged)):
            assert _is_harmless(place, original, forged), (place, forged["claim"])
    assert tried > 200


def _is_harmless(place: tuple[str | int, ...], original: Document, forged: Document) -> bool:
    """Edits that keep a claim true: weaker bounds, hints, small changes of what is proved near."""
    if place[0] in ("prover", "witness", "model"):
        return True
    if place[0] == "network":
        # Statements on shapes hold for all weights; others were proved again for the new ones.
        return place[1] == "tensors" or original["claim"] == forged["claim"]
    name, (old, new) = str(place[1]), (_at(original, place), _at(forged, place))
    if new is None:
        return name in ("unit_eigenvalues", "unstable", "training")
    if name in ("distance", "factor", "fastest") or place[-1] == "fastest":
        return float.fromhex(new) >= 0.999 * float.fromhex(old)
    if name == "uniqueness_radius":
        # Half of what the prover found is claimed.
        return float.fromhex(new) <= 2 * float.fromhex(old)
    if place[-1] in ("slowest", "basin_radius", "expansion"):
        return float.fromhex(new) <= 1.6 * float.fromhex(old)
    if place[1:2] == ("stability",):
        return False
    return name in ("frame", "center", "radius", "fixed_points", "reach", "cube")


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("kind", KINDS)
def test_fields_dropped_or_added_are_refused(paths: dict[str, Path], tmp_path: Path, kind: str):
    for place, forged in resized(_read(paths[kind])):
        if place[:1] != ("witness",) or kind != "positional":
            assert not accepts(tmp_path / "forged.json", sealed(forged)), place


def _checked(document: Document, folder: Path) -> Verdict:
    path = folder / "edited.json"
    path.write_bytes(sealed(document))
    return check(path)


def _lie(paths: dict[str, Path], kind: str, *path: Any) -> Document:
    *place, value = path
    return changed(_read(paths[kind]), tuple(place), value)


def test_lies_about_a_replicator_are_refused(paths: dict[str, Path], tmp_path: Path):
    original = _read(paths["replicator"])
    claim = original["claim"]
    distance = float.fromhex(claim["distance"])
    near = _lie(paths, "replicator", "claim", "distance", (0.9 * distance).hex())
    refused(near, tmp_path, "the distance from the weights")
    stable = _lie(paths, "replicator", "claim", "eigenvalue", 1)
    refused(stable, tmp_path, "the eigenvalue of the weights")
    units = _lie(paths, "replicator", "claim", "unit_eigenvalues", 11)
    refused(units, tmp_path, "the number of eigenvalues 1")
    fewer = _lie(paths, "replicator", "claim", "unstable", claim["unstable"] - 1)
    refused(fewer, tmp_path, "the number of unstable eigenvalues")
    for end, factor in (("slowest", 1.01), ("fastest", 0.99)):
        value = (factor * float.fromhex(claim["training"][end])).hex()
        tight = _lie(paths, "replicator", "claim", "training", end, value)
        refused(tight, tmp_path, "the training modes")
    wide = _lie(paths, "replicator", "claim", "uniqueness_radius", (10.0).hex())
    refused(wide, tmp_path, "no other zero")
    nowhere = _lie(paths, "replicator", "claim", "frame", entry(np.zeros((14, 4))))
    refused(nowhere, tmp_path, "not certainly regular")


def test_weights_just_outside_are_refused(paths: dict[str, Path], tmp_path: Path):
    """Other weights in the network, the rest as it was."""
    original = _read(paths["replicator"])
    place = ("network", "tensors", "weight_0")
    first = tensor(original["network"]["tensors"]["weight_0"])
    for shift in (1e-9, 1e-5, 1.0):
        moved = changed(original, place, entry(first + shift))
        refused(moved, tmp_path, "exactly one zero within the radius")
    zero = changed(original, place, entry(0 * first))
    refused(zero, tmp_path, "exactly one zero within the radius")


def test_wrong_sizes_and_codes_are_refused(paths: dict[str, Path], tmp_path: Path):
    config = ("network", "config")
    for key, value in (("widths", [2, 3]), ("widths", [2]), ("inputs", 5), ("widths", [])):
        document = changed(_read(paths["replicator"]), (*config, key), value)
        assert not accepts(tmp_path / "forged.json", sealed(document))
    # Replication is no matter of coordinates, but spectra and training are.
    other = changed(_read(paths["replicator"]), (*config, "position"), "raw")
    assert not accepts(tmp_path / "forged.json", sealed(other))
    for kind in ("positional", "stable"):
        other = changed(_read(paths[kind]), (*config, "position"), "raw")
        assert not accepts(tmp_path / "forged.json", sealed(other))
    for kind, word in (("replicator", "tanh"), ("positional", "sigmoid"), ("stable", "sigmoid")):
        other = changed(_read(paths[kind]), (*config, "activation"), word)
        assert not accepts(tmp_path / "forged.json", sealed(other))
    # Sigmoid keeps no ball around zero.
    other = changed(_read(paths["collapse_tanh"]), (*config, "activation"), "sigmoid")
    refused(other, tmp_path, "|a(x)| <= |x|")


def test_a_list_with_an_entry_missing_or_twice_is_refused(paths: dict[str, Path], tmp_path: Path):
    points = _read(paths["positional"])["claim"]["fixed_points"]
    for k in range(len(points)):
        fewer = _lie(paths, "positional", "claim", "fixed_points", points[:k] + points[k + 1 :])
        refused(fewer, tmp_path, "there are 6 fixed points, not 5")
    twice = _lie(paths, "positional", "claim", "fixed_points", [*points, points[0]])
    refused(twice, tmp_path, "may be one")
    directions = _read(paths["positional"])["witness"]["directions"]
    for k, direction in enumerate(directions):
        rest = directions[:k] + directions[k + 1 :]
        verdict = _checked(_lie(paths, "positional", "witness", "directions", rest), tmp_path)
        # Along some directions there is no fixed point, or only beyond the reach.
        assert verdict.accepted or "is not named" in verdict.reason, direction
    blind = _lie(paths, "positional", "witness", "directions", [])
    refused(blind, tmp_path, "that is not named cannot be excluded")
    wider = _lie(paths, "positional", "claim", "reach", (1e-3).hex())
    refused(wider, tmp_path, "within reach")


def test_lies_about_stability_are_refused(paths: dict[str, Path], tmp_path: Path):
    for kind, word in (("stable", "unstable"), ("unstable", "stable")):
        assert not accepts(
            tmp_path / "forged.json", sealed(_lie(paths, kind, "claim", "stability", word))
        )
    basin = float.fromhex(_read(paths["stable"])["claim"]["basin_radius"])
    wide = _lie(paths, "stable", "claim", "basin_radius", (4 * basin).hex())
    refused(wide, tmp_path, "what the fixed point attracts")
    cube = _lie(paths, "stable", "claim", "cube", (1.0).hex())
    refused(cube, tmp_path, "what the fixed point attracts")


def test_lies_about_the_ball_are_refused(paths: dict[str, Path], tmp_path: Path):
    for kind in ("collapse", "collapse_tanh"):
        radius = float.fromhex(_read(paths[kind])["claim"]["radius"])
        wide = _lie(paths, kind, "claim", "radius", (1.0001 * radius).hex())
        refused(wide, tmp_path, "that the ball collapses")
        refused(_lie(paths, kind, "claim", "factor", (1.0).hex()), tmp_path, "out of range")


def test_zero_is_no_self_replicator(subjects: dict[str, tuple[Any, Particle]]):
    _, particle = subjects["collapse_tanh"]
    zero = prove_map_fixed_point(SelfApplication(particle.spec), np.zeros(particle.state_size))
    assert isinstance(zero, MapFixedPoint)
    with pytest.raises(InputProblem, match="may be 0"):
        proof_document(zero, particle)


def test_records_of_other_subjects_are_refused(subjects: dict[str, tuple[Any, Particle]]):
    record, particle = subjects["replicator"]
    other = Particle(particle.spec, particle.weights + 1e-3)
    with pytest.raises(InputProblem, match="other weights"):
        proof_document(record, other)
    with pytest.raises(InputProblem, match="other activations"):
        proof_document(subjects["collapse"][0], subjects["collapse_tanh"][1])
    with pytest.raises(InputProblem, match="another size"):
        proof_document(subjects["stable"][0], subjects["collapse_tanh"][1])
    few = prove_all_positional_replicators(ONE.positions, ONE.shapes, max_boxes=5)
    with pytest.raises(InputProblem, match="may be incomplete"):
        proof_document(few, subjects["positional"][1])


def _certify(spec: ParticleSpec, weights: np.ndarray, folder: Path) -> tuple[int, int]:
    accepted = 0
    for k, row in enumerate(weights):
        record = prove_replicator(row, spec.positions, spec.shapes)
        assert not isinstance(record, Refusal), record
        path = write_proof(record, Particle(spec, jnp.asarray(row)), folder / f"{k}.json")
        accepted += check(path).accepted
    return accepted, len(weights)


def _self_trained(spec: ParticleSpec, count: int) -> np.ndarray:
    """Full-batch self-training with momentum from random weights."""
    import jax

    start = draw_particles(jax.random.key(0), spec, count)

    @jax.jit
    def run(weights: Any) -> Any:
        def lesson(_: int, both: Any) -> Any:
            return self_training_step(spec, *both, rate=0.01, momentum=0.9)

        return jax.lax.fori_loop(0, 4000, lesson, (weights, jnp.zeros_like(weights)))[0]

    return np.asarray(run(start))


@pytest.mark.slow
@pytest.mark.parametrize("spec", [ParticleSpec(5, (3, 3)), ParticleSpec(5, (5, 5))], ids=show)
def test_organism_hundred_of_hundred_certificates(spec: ParticleSpec, tmp_path: Path):
    """Self-trained particles as they are, and projected ones."""
    assert _certify(spec, _self_trained(spec, 50), tmp_path) == (50, 50)
    projected = np.stack([draw_replicator(spec, seed) for seed in range(50)])
    assert _certify(spec, projected, tmp_path) == (50, 50)


def test_float32_weights_are_taken_exactly(tmp_path: Path):
    spec = ParticleSpec(5, (3, 3))
    weights = jnp.asarray(draw_replicator(spec, 4), jnp.float32)
    record = prove_replicator(np.asarray(weights), spec.positions, spec.shapes)
    assert not isinstance(record, Refusal) and 1e-9 < record.distance < 1e-5
    path = write_proof(record, Particle(spec, weights), tmp_path / "single.json")
    assert check(path).accepted
