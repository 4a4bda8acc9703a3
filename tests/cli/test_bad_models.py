"""Folders that are no model: `certify` says in one line what came, and writes nothing."""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from command_line import CONTRACTING, RATE, Reply, raw_safetensors, write_model
from limitset.dynamics import SemiImplicit, discretise
from limitset.io import save
from limitset.networks import Assembly, RateNetwork

Refused = Callable[..., str]
Tensors = dict[str, np.ndarray]

SQUARE = np.array([[0.0, 0.5], [0.5, 0.0]])
TENSORS: Tensors = {"weight": SQUARE, "bias": np.zeros(2), "input_weight": np.zeros((2, 1))}
CELL: Tensors = {"weight_ih_l0": np.zeros((2, 1)), "weight_hh_l0": np.zeros((2, 2))}
ELMAN = {"format": RATE["format"], "kind": "elman", "activation": "tanh"}
MODULE = {key: value for key, value in RATE.items() if key != "format"}
ASSEMBLY = {"format": RATE["format"], "kind": "assembly", "modules": [MODULE, MODULE]}
PARTS: Tensors = {
    "module_0.weight": np.zeros((1, 1)),
    "module_1.weight": np.zeros((1, 1)),
    "coupling": np.array([[0.0, -1.0], [1.0, 0.0]]),
}


def without(config: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in config.items() if key not in keys}


@pytest.mark.parametrize(
    "config, part",
    [
        ("", "config.json is not valid JSON"),
        ("{", "not valid JSON"),
        ('{"format"', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' * 100_000, "not valid JSON"),
        ("null", "NoneType"),
        ("[]", "list"),
        ("3", "int"),
        ('"rate"', "str"),
        ({}, "limitset-model/1"),
        (json.dumps(RATE)[:-1] + ', "kind": "gru"}', "twice"),
        (json.dumps(RATE).replace("1.0}", "NaN}"), "NaN"),
        (json.dumps(RATE).replace("1.0}", "-Infinity}"), "Infinity"),
        (json.dumps(RATE).replace("1.0}", "1e400}"), "time_constant is inf"),
        (json.dumps(RATE).replace("1.0}", "1" * 400 + "}"), "time_constant is 111"),
        (json.dumps(RATE).replace("1.0}", "1" * 5000 + "}"), "not valid JSON"),
        (RATE | {"format": "limitset-model/2"}, "limitset-model/1"),
        (RATE | {"format": 1}, "limitset-model/1"),
        (without(RATE, "format"), "limitset-model/1"),
        (without(RATE, "kind"), "kind None"),
        (RATE | {"kind": "hopfield"}, "'hopfield'"),
        (RATE | {"kind": ["rate"]}, "['rate']"),
        (RATE | {"kind": None}, "None"),
        (without(RATE, "leak"), "misses ['leak']"),
        (without(RATE, "form"), "misses ['form']"),
        (RATE | {"slope": 1}, "unknown keys ['slope']"),
        (RATE | {"form": "leaky"}, "'leaky'"),
        (RATE | {"form": {}}, "{}"),
        (RATE | {"activation": "exp"}, "'exp'"),
        (RATE | {"activation": ["tanh"]}, "['tanh']"),
        (RATE | {"activation": 1}, "activation 1"),
        (RATE | {"leak": -1.0}, "leak is -1.0"),
        (RATE | {"leak": "1.0"}, "leak is '1.0'"),
        (RATE | {"leak": True}, "leak is True"),
        (RATE | {"leak": None}, "leak is None"),
        (RATE | {"leak": 10**400}, "leak is 1000"),
        (RATE | {"time_constant": 0}, "time_constant is 0"),
        (RATE | {"time_constant": -2}, "time_constant is -2"),
        (RATE | {"time_constant": 1e-310}, "time_constant is 1e-310"),
        (RATE | {"about": 3}, "about is 3"),
        (RATE | {"readout": {"outputs": 2}}, "readout.weight"),
        (RATE | {"discretisation": "euler"}, "discretisation"),
        (RATE | {"discretisation": {"scheme": "explicit_euler"}}, "discretisation"),
        (RATE | {"discretisation": {"scheme": "midpoint", "step": 0.1}}, "'midpoint'"),
        (RATE | {"discretisation": {"scheme": {}, "step": 0.1}}, "scheme {}"),
        (RATE | {"discretisation": {"scheme": "semi_implicit", "step": 0.1}}, "'semi_implicit'"),
        (RATE | {"discretisation": {"scheme": "explicit_euler", "step": 0}}, "step is 0"),
        (RATE | {"discretisation": {"scheme": "explicit_euler", "step": -0.1}}, "step is -0.1"),
        (RATE | {"discretisation": {"scheme": "explicit_euler", "step": 10**400}}, "step is 1000"),
        (RATE | {"discretisation": {"scheme": "explicit_euler", "step": "1"}}, "step is '1'"),
        (RATE | {"discretisation": {"scheme": "explicit_euler", "step": 0.1}}, "gain"),
    ],
    ids=str,
)
def test_configurations(refused: Refused, tmp_path: Path, config: object, part: str):
    folder = write_model(tmp_path / "model", config, TENSORS)
    message = refused("certify", folder)
    assert str(folder) in message and part in message


def test_a_step_beyond_float64(refused: Refused, tmp_path: Path):
    text = json.dumps(RATE | {"discretisation": {"scheme": "explicit_euler", "step": 777.0}})
    folder = write_model(tmp_path / "model", text.replace("777.0", "1e400"), TENSORS)
    assert "step is inf" in refused("certify", folder)


def test_constants_that_the_weights_cannot_run_with(refused: Refused, tmp_path: Path):
    """A certificate speaks about float32(0.1); a model that says 0.1 would not be that network."""
    single = {name: array.astype(np.float32) for name, array in TENSORS.items()}
    for leak in (0.1, 1e-60, 1e60):
        folder = write_model(tmp_path / "model", RATE | {"leak": leak}, single)
        assert "float32" in refused("certify", folder)


def with_tensors(**changes: object) -> Tensors:
    """The usual tensors, with these instead; `None` leaves one out."""
    changed = TENSORS | changes
    return {name: np.asarray(array) for name, array in changed.items() if array is not None}


@pytest.mark.parametrize(
    "tensors, part",
    [
        ({}, "miss ['weight']"),
        (with_tensors(weight=None), "miss ['weight']"),
        (with_tensors(gamma=np.zeros(2)), "unknown names ['gamma']"),
        (with_tensors(weight=0.0), "weight has shape ()"),
        (with_tensors(weight=np.zeros(4)), "weight has shape (4,)"),
        (with_tensors(weight=np.zeros((2, 3))), "(2, 3)"),
        (with_tensors(weight=np.zeros((1, 2, 2))), "(1, 2, 2)"),
        (with_tensors(weight=np.zeros((0, 0))), "(0, 0)"),
        (with_tensors(bias=np.zeros(3)), "(3,)"),
        (with_tensors(bias=np.zeros((2, 1))), "(2, 1)"),
        (with_tensors(bias=0.0), "()"),
        (with_tensors(input_weight=np.zeros(2)), "input_weight has shape (2,)"),
        (with_tensors(input_weight=np.zeros((1, 2))), "(1, 2)"),
        (with_tensors(input_weight=np.zeros((2, 1, 1))), "(2, 1, 1)"),
        ({"weight": np.zeros((2, 2), np.int32)}, "int32"),
        ({"weight": np.zeros((2, 2), bool)}, "bool"),
        ({"weight": np.zeros((2, 2), np.float16)}, "float16"),
        ({"weight": np.zeros((2, 2), np.complex64)}, "complex64"),
        (with_tensors(bias=np.zeros(2, np.float32)), "float32, float64"),
        (with_tensors(weight=np.full((2, 2), np.nan)), "NaN"),
        (with_tensors(weight=np.array([[0.0, np.inf], [0.0, 0.0]])), "infinity"),
        (with_tensors(bias=np.array([0.0, -np.inf])), "infinity"),
        (with_tensors(input_weight=np.array([[np.nan], [0.0]])), "NaN"),
        (with_tensors(metric=np.ones(3)), "(3,)"),
        (with_tensors(metric=np.ones((2, 2))), "(2, 2)"),
        (with_tensors(metric=np.ones(2, np.int64)), "int64"),
        ({**TENSORS, "readout.weight": np.zeros((3, 2))}, "readout"),
    ],
    ids=str,
)
def test_tensors(refused: Refused, tmp_path: Path, tensors: Tensors, part: str):
    message = refused("certify", write_model(tmp_path / "model", RATE, tensors))
    assert part in message


@pytest.mark.parametrize(
    "weight, bias, outputs, part",
    [
        (np.zeros((3, 2)), np.zeros(3), 4, "{'outputs': 3}"),
        (np.zeros((3, 2)), np.zeros(3), "3", "{'outputs': 3}"),
        (np.zeros((3, 4)), np.zeros(3), 3, "(3, 4)"),
        (np.zeros(2), np.zeros(2), 2, "(2,)"),
        (np.zeros((3, 2)), np.zeros(2), 2, "(3, 2)"),
        (np.zeros((3, 2), np.int8), np.zeros(3, np.int8), 3, "int8"),
    ],
)
def test_readouts(
    refused: Refused,
    tmp_path: Path,
    weight: np.ndarray,
    bias: np.ndarray,
    outputs: object,
    part: str,
):
    tensors = {**TENSORS, "readout.weight": weight, "readout.bias": bias}
    config = RATE | {"readout": {"outputs": outputs}}
    assert part in refused("certify", write_model(tmp_path / "model", config, tensors))


@pytest.mark.parametrize(
    "config, tensors, part",
    [
        (ELMAN, {"weight_hh_l0": np.zeros((2, 2))}, "miss ['weight_ih_l0']"),
        (ELMAN, CELL | {"weight_hh_l0": np.zeros(())}, "()"),
        (ELMAN, CELL | {"weight_hh_l0": np.zeros((4, 2))}, "(4, 2)"),
        (ELMAN, CELL | {"weight_ih_l0": np.zeros((3, 1))}, "(3, 1)"),
        (ELMAN, CELL | {"bias_ih_l0": np.zeros(3)}, "(3,)"),
        (ELMAN, CELL | {"weight_ih_l1": np.zeros((2, 2))}, "weight_ih_l1"),
        (ELMAN | {"activation": "step"}, CELL, "'step'"),
        (ELMAN | {"activation": {}}, CELL, "activation {}"),
        (without(ELMAN, "activation"), CELL, "misses ['activation']"),
        (ELMAN | {"kind": "gru"}, CELL, "unknown keys ['activation']"),
        ({"format": RATE["format"], "kind": "gru"}, CELL, "GRU"),
        ({"format": RATE["format"], "kind": "lstm"}, CELL, "LSTM"),
        (ASSEMBLY | {"modules": []}, {"coupling": np.zeros((0, 0))}, "no modules"),
        (ASSEMBLY | {"modules": 2}, PARTS, "modules"),
        (ASSEMBLY | {"modules": [MODULE, 2]}, PARTS, "modules"),
        (ASSEMBLY | {"modules": [MODULE]}, PARTS, "module_1.weight"),
        (ASSEMBLY | {"modules": [MODULE, MODULE | {"kind": "gru"}]}, PARTS, "'gru'"),
        (ASSEMBLY | {"modules": [MODULE, without(MODULE, "leak")]}, PARTS, "leak"),
        (ASSEMBLY, PARTS | {"coupling": np.zeros((3, 3))}, "(3, 3)"),
        (ASSEMBLY, PARTS | {"coupling": np.eye(2)}, "one module"),
        (ASSEMBLY, PARTS | {"module_1.input_weight": np.zeros((1, 3))}, "[0, 3] inputs"),
        (ASSEMBLY, {k: v for k, v in PARTS.items() if k != "coupling"}, "coupling"),
        (
            ASSEMBLY | {"discretisation": {"scheme": "semi_implicit", "step": 1.0}},
            PARTS | {"keep": np.zeros(2), "gain": np.zeros(2), "propagator": np.zeros((2, 1))},
            "propagator",
        ),
        (
            RATE | {"discretisation": {"scheme": "explicit_euler", "step": 1.0}},
            TENSORS | {"keep": np.zeros(2), "gain": np.zeros(())},
            "keep",
        ),
        (RATE | {"discretisation": {"scheme": "backward_euler", "step": 0.1}}, TENSORS, "'step'"),
        (
            RATE | {"discretisation": {"scheme": "backward_euler", "step": 0.1}},
            TENSORS | {"step": np.zeros(())},
            "step is 0.0",
        ),
        (
            RATE | {"discretisation": {"scheme": "backward_euler", "step": 0.1}},
            TENSORS | {"step": np.ones(2)},
            "step has shape (2,)",
        ),
        (
            RATE | {"discretisation": {"scheme": "backward_euler", "step": -1}},
            TENSORS | {"step": np.ones(())},
            "step is -1",
        ),
    ],
    ids=str,
)
def test_other_kinds(refused: Refused, tmp_path: Path, config: object, tensors: Tensors, part: str):
    assert part in refused("certify", write_model(tmp_path / "model", config, tensors))


HUGE = {"weight": {"dtype": "F64", "shape": [10**6, 10**6], "data_offsets": [0, 8 * 10**12]}}
OVERFLOW = {"weight": {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}
STRANGE = {"weight": {"dtype": "F8_E5M2", "shape": [1, 1], "data_offsets": [0, 1]}}
HALF = {"weight": {"dtype": "BF16", "shape": [1, 1], "data_offsets": [0, 2]}}
OVERLAP = {
    "weight": {"dtype": "F64", "shape": [1, 1], "data_offsets": [0, 8]},
    "bias": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]},
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 8,
        b"\xff" * 4096,
        np.random.default_rng(0).bytes(5000),
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
        raw_safetensors(HUGE),
        raw_safetensors(HUGE, b"\0" * 800),
        raw_safetensors(OVERFLOW),
        raw_safetensors(STRANGE, b"\0"),
        raw_safetensors(HALF, b"\0" * 2),
        raw_safetensors(OVERLAP, b"\0" * 8),
        raw_safetensors([]),
        raw_safetensors(b"not json"),
        raw_safetensors(b'{"a":' * 5000),
        raw_safetensors({"weight": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}),
        raw_safetensors({"weight": 3}),
        pickle.dumps({"weight": SQUARE}),
        safetensors.numpy.save(TENSORS)[:-1],
        safetensors.numpy.save(TENSORS)[:20],
        safetensors.numpy.save(TENSORS) + b"\0",
    ],
    ids=lambda content: f"{len(content)} bytes, {content[8:40]!r}",
)
def test_damaged_tensors(refused: Refused, tmp_path: Path, content: bytes):
    folder = write_model(tmp_path / "model", RATE, TENSORS)
    (folder / "model.safetensors").write_bytes(content)
    assert str(folder) in refused("certify", folder)


def test_a_pickle_is_never_opened(refused: Refused, tmp_path: Path):
    folder = write_model(tmp_path / "model", RATE, TENSORS)
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
        refused("certify", folder)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Unpickling one of these writes a file."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.place, "w")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x80abc", json.dumps(RATE).encode("utf-16")]
)
def test_configurations_that_are_no_text(refused: Refused, tmp_path: Path, content: bytes):
    folder = write_model(tmp_path / "model", RATE, TENSORS)
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refused("certify", folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_folders_in_their_place_and_sizes(
    refused: Refused, tmp_path: Path, name: str
):
    folder = write_model(tmp_path / "model", RATE, TENSORS)
    (folder / name).unlink()
    assert f"{name} is missing" in refused("certify", folder)
    (folder / name).mkdir()
    assert f"{name} is no file" in refused("certify", folder)
    (folder / name).rmdir()
    (folder / name).symlink_to("/dev/zero")
    assert f"{name} is no file" in refused("certify", folder)


def test_files_too_large_to_be_read(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_model(tmp_path / "model", RATE, TENSORS)
    for limit in ("_LARGEST_WEIGHTS", "_LARGEST_CONFIG"):
        with monkeypatch.context() as patch:
            patch.setattr(f"limitset.io._model.{limit}", 10)
            assert "more than 10 bytes" in refused("certify", folder)


@pytest.mark.parametrize("place", ["nowhere", "file", "empty", "name" * 100, "model/config.json"])
def test_folders_that_are_none(refused: Refused, model: Path, tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert place[-4:] in refused("certify", tmp_path / place)


@pytest.mark.parametrize("place", ["file", "file/below", "name" * 100])
def test_certificates_that_cannot_be_written(
    refused: Refused, model: Path, tmp_path: Path, place: str
):
    (tmp_path / "file").write_text("precious")
    refused("certify", model, "--out", tmp_path / place)
    (model / "certificates").write_text("precious")
    refused("certify", model)


@pytest.mark.parametrize("bound", ["-1", "nan", "inf", "1e400"])
def test_input_bounds(refused: Refused, model: Path, bound: str):
    assert "input_bound" in refused("certify", model, "--input-bound", bound)


def test_no_file_is_left_when_writing_fails(
    refused: Refused, model: Path, monkeypatch: pytest.MonkeyPatch
):
    (model / "certificates").mkdir()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("os.fsync", "os.replace", "os.chmod"):
        with monkeypatch.context() as patch:
            patch.setattr(call, fail)
            assert "No space left" in refused("certify", model)


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, -1.0])
def test_metrics_that_are_none(refused: Refused, tmp_path: Path, scale: float):
    tensors = with_tensors(metric=np.array([1.0, scale]))
    assert "positive, finite" in refused("certify", write_model(tmp_path / "model", RATE, tensors))


def test_a_stored_metric_is_only_a_proposal(limitset: Callable[..., Reply], tmp_path: Path):
    """A useless one does not keep a theorem from choosing its own."""
    tensors = with_tensors(metric=np.array([1.0, 1e-320]))
    reply = limitset("certify", write_model(tmp_path / "model", RATE, tensors), "--json")
    assert reply.code == 0 and reply.err == ""
    assert reply.answers[0]["verdict"] == "certified"


@pytest.mark.parametrize("size", [1e-320, 1e-160, 1e160, 1.7e308])
def test_weights_near_the_ends_of_float64(
    limitset: Callable[..., Reply], tmp_path: Path, size: float
):
    folder = write_model(tmp_path / "model", RATE, {"weight": size * CONTRACTING})
    reply = limitset("certify", folder, "--json")
    assert reply.err == ""
    assert reply.code == (0 if size < 1 else 1)
    assert len(reply.answers) == 1


def test_a_model_of_every_map_with_a_tensor_of_another(refused: Refused, tmp_path: Path):
    module = RateNetwork(jnp.zeros((1, 1)))
    assembly = Assembly((module, module), jnp.array([[0.0, -1.0], [1.0, 0.0]]))
    folder = save(tmp_path / "model", discretise(assembly, SemiImplicit(1.0)))
    other = save(tmp_path / "other", assembly)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    assert "miss ['gain', 'keep', 'propagator']" in refused("certify", folder)
