"""Certificate files: every number exact, one spelling, tied to the model they are about."""

import base64
import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from command_line import CONTRACTING, listing
from limitset._result import InputProblem
from limitset.checker import check
from limitset.contraction import Certificate, DiagonalMetric, QuadraticMetric, certify
from limitset.dynamics import SemiImplicit, discretise
from limitset.io import certificate_document, describe, save, write_certificate
from limitset.networks import Assembly, Elman, RateNetwork


def certified(system: object, **options: object) -> Certificate:
    answer = certify(system, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(answer, Certificate)
    return answer


def semi_implicit() -> object:
    module = RateNetwork(jnp.asarray(CONTRACTING, jnp.float32), jnp.ones((2, 1), jnp.float32))
    skew = jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.eye(2)).astype(jnp.float32)
    return discretise(Assembly((module, module), skew), SemiImplicit(0.5))


SYSTEMS = {
    "rate": lambda: RateNetwork(jnp.asarray(CONTRACTING)),
    "elman": lambda: Elman(
        jnp.ones((2, 1), jnp.float32),
        jnp.asarray(CONTRACTING, jnp.float32),
        jnp.array([0.0, 0.1], jnp.float32),
        jnp.array([1.0, 2.0], jnp.float32),
    ),
    "semi-implicit": semi_implicit,
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_number_is_exact(name: str):
    certificate = certified(SYSTEMS[name]())
    document = certificate_document(certificate)
    config, tensors = describe(certificate.system)
    assert document["network"]["config"] == config
    assert set(document["network"]["tensors"]) == set(tensors)
    for key, entry in document["network"]["tensors"].items():
        assert entry["shape"] == list(tensors[key].shape)
        assert entry["dtype"] == str(tensors[key].dtype)
        assert base64.b64decode(entry["data"]) == tensors[key].tobytes()
    value = certificate.rate if certificate.factor is None else certificate.factor
    word = "rate" if certificate.factor is None else "factor"
    assert float.fromhex(document["claim"][word]) == value
    assert document["claim"]["time"] == certificate.time
    if certificate.theorem == "sector":
        stored = document["witness"]["multipliers"]["data"]
        assert base64.b64decode(stored) == np.array(certificate.multipliers).tobytes()
    else:
        bounds = [float.fromhex(module["bound"]) for module in document["witness"]["modules"]]
        assert tuple(bounds) == certificate.module_bounds
    if certificate.float32 is not None:
        gap = {key: float.fromhex(text) for key, text in document["float32"].items()}
        assert {**gap, "radii": (), "residual": None} == vars(certificate.float32)


@pytest.mark.parametrize("name", SYSTEMS)
def test_files_are_accepted_and_always_the_same(tmp_path: Path, name: str):
    system = SYSTEMS[name]()
    folder = save(tmp_path / "model", system)
    paths = [
        write_certificate(certified(system), folder / "certificates" / f"{i}.json", model=folder)
        for i in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    verdict = check(paths[0])
    assert verdict.accepted, verdict.reason
    alone = write_certificate(certified(system), tmp_path / "alone.json")
    assert json.loads(alone.read_text())["model"] is None
    assert check(alone).accepted


def test_the_digest_is_over_all_the_rest():
    document = certificate_document(certified(SYSTEMS["rate"]()))
    digest = document.pop("digest")
    text = json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n"
    assert digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_model_is_named_by_its_bytes(tmp_path: Path):
    folder = save(tmp_path / "model", SYSTEMS["rate"]())
    document = certificate_document(certified(SYSTEMS["rate"]()), model=folder)
    for key, name in (("config_sha256", "config.json"), ("weights_sha256", "model.safetensors")):
        content = (folder / name).read_bytes()
        assert document["model"][key] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("place", ["nowhere", "file", "empty"])
def test_a_model_that_is_none(tmp_path: Path, place: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    before = listing(tmp_path)
    with pytest.raises(InputProblem, match="not a model folder"):
        certificate = certified(SYSTEMS["rate"]())
        write_certificate(certificate, tmp_path / "c.json", model=tmp_path / place)
    assert listing(tmp_path) == before


def test_a_quadratic_metric_is_stored_whole(tmp_path: Path):
    """Weights that only the vertex theorem certifies, in a metric that is not diagonal."""
    weight = jnp.array([[-2.0, 3.0], [-3.0, -2.0]])
    metric = QuadraticMetric(jnp.array([[1.0, 0.25], [0.25, 1.0]]))
    network = RateNetwork(weight, activation="identity")
    certificate = certified(network, metric=metric)
    assert certificate.theorem == "vertices"
    entry = certificate_document(certificate)["metric"]
    assert entry["kind"] == "quadratic"
    stored = np.frombuffer(base64.b64decode(entry["matrix"]["data"]), "<f8").reshape(2, 2)
    assert np.array_equal(stored, np.asarray(certificate.metric.matrix))  # pyright: ignore[reportAttributeAccessIssue]
    assert check(write_certificate(certificate, tmp_path / "c.json")).accepted


def test_a_diagonal_metric_is_stored_whole():
    scale = np.array([1.0, 1 / 3 + 2.0**-53, 1.0, 1 / 3])
    certificate = certified(semi_implicit(), metric=DiagonalMetric(jnp.asarray(scale)))
    entry = certificate_document(certificate)["metric"]
    assert entry["kind"] == "diagonal" and entry["scale"]["dtype"] == "float64"
    assert base64.b64decode(entry["scale"]["data"]) == scale.tobytes()


def test_a_failed_write_leaves_the_old_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_certificate(certified(SYSTEMS["rate"]()), tmp_path / "c.json")
    before = listing(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(InputProblem, match="No space left"):
            write_certificate(certified(SYSTEMS["elman"]()), path)
    assert listing(tmp_path) == before


def test_tracing_never_reaches_a_file():
    """A certificate is made of concrete numbers: inside a traced function there are none."""
    with pytest.raises(InputProblem, match="traced"):
        jax.jit(lambda w: certify(RateNetwork(w)) and w)(jnp.asarray(CONTRACTING))
