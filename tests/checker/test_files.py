"""Files, folders and the command line: nothing that comes in makes the checker stumble."""

import copy
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limitset.checker import Unusable, check
from limitset.checker.__main__ import main

from .certificates import (
    add_float32,
    assembly,
    canonical,
    decode,
    elman,
    rate_arrays,
    rate_config,
    rate_flow,
    rate_map,
    seal,
    tensor,
    write,
)

SCALE = np.ones(3)


def flow() -> dict:
    return rate_flow("singular_value", rate_config(), rate_arrays(3, 3, norm=0.3), SCALE)


def step32() -> dict:
    arrays = rate_arrays(3, 3, norm=0.3, dtype=np.float32)
    return add_float32(rate_map("singular_value", rate_config(), arrays, SCALE, 0.9, 0.1))


def save_model(folder: Path, document: dict, **extra: np.ndarray) -> None:
    """A model folder with the certificate's network, and further tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": "limitset-model/1", **document["network"]["config"]}
    config |= {"about": {"trained": "never"}, "readout": "linear"}
    if config.get("discretisation", 0) is None:
        del config["discretisation"]
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: decode(entry) for name, entry in document["network"]["tensors"].items()}
    save_tensors(folder, {**tensors, **extra})


def save_tensors(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {"__metadata__": {"made": "by hand"}}, b""
    for name, array in tensors.items():
        start, data = len(data), data + array.tobytes()
        dtype = {"float32": "F32", "float64": "F64"}[array.dtype.name]
        offsets = [start, len(data)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}  # type: ignore
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def bind(document: dict, folder: Path) -> dict:
    names = {"config_sha256": "config.json", "weights_sha256": "model.safetensors"}
    sums = {
        key: hashlib.sha256((folder / name).read_bytes()).hexdigest() for key, name in names.items()
    }
    return {**document, "model": sums}


# Files that are no certificates


UNUSABLE = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "number": b"3\n",
    "list": b"[]",
    "null": b"null",
    "object": b"{}",
    "other format": b'{"format": "limitset-certificate/2"}',
    "format of another type": b'{"format": ["limitset-certificate/1"]}',
    "truncated": canonical(seal(flow()))[:-100],
    "deep": b'{"format": ' + b"[" * 200_000,
    "deep and closed": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "huge integer": b'{"format": ' + b"9" * 10_000 + b"}",
    "utf-16": canonical(seal(flow())).decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + canonical(seal(flow())),
    "two objects": b"{} {}",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files(name: str, tmp_path: Path, capsys, monkeypatch):
    path = tmp_path / "certificate.json"
    path.write_bytes(UNUSABLE[name])
    with pytest.raises(Unusable) as caught:
        check(path)
    assert "\n" not in str(caught.value) and "give" in str(caught.value)
    monkeypatch.setattr(sys, "argv", ["checker", str(path)])
    assert main() == 2
    assert capsys.readouterr().out.count("\n") == 1


def test_unusable_paths(tmp_path: Path):
    for path in (tmp_path, tmp_path / "absent", "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(Unusable, match="cannot be read"):
            check(path)


def test_files_beyond_the_limit(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("limitset.checker._document.MAX_BYTES", 1000)
    with pytest.raises(Unusable, match="exceeds the limit"):
        check(write(flow(), tmp_path / "c.json"))


# Certificates that were written badly, or edited


def test_every_truncation(tmp_path: Path):
    raw, path = canonical(seal(flow())), tmp_path / "c.json"
    for length in [*range(0, len(raw) - 2, 37), len(raw) - 2]:
        path.write_bytes(raw[:length])
        with pytest.raises(Unusable):
            check(path)
    path.write_bytes(raw[:-1])  # only the last newline is missing
    assert "canonical" in check(path).reason


def test_every_byte_matters(tmp_path: Path):
    """Without a new digest, no changed byte is accepted."""
    raw, path = canonical(seal(flow())), tmp_path / "c.json"
    for position in range(0, len(raw), 3):
        changed = bytearray(raw)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        try:
            assert not check(path).accepted
        except Unusable:
            pass


def test_spellings(tmp_path: Path):
    document, path = seal(flow()), tmp_path / "c.json"
    text = canonical(document).decode()
    spellings = [
        json.dumps(document, sort_keys=True),
        json.dumps(document, indent=1) + "\n",
        text + "\n",
        text.replace("\n", "\r\n"),
        text.replace('"leak": 1.0', '"leak": 1.00'),
        text.replace('"leak": 1.0', '"leak": 1e0'),
        text.replace('"leak": 1.0', '"leak": NaN'),
        text.replace('"leak": 1.0', '"leak": 1e999'),
        text.replace('"leak": 1.0', '"leak": 1.0,\n   "leak": 1.0'),
        text.replace('"float32": null', '"float32": null,\n "float32": null'),
        text.replace('"tanh"', '"\\u0074anh"'),
    ]
    for spelling in spellings:
        assert spelling != text
        path.write_bytes(spelling.encode())
        found = check(path)
        assert not found.accepted, spelling
        assert "canonical" in found.reason or "Out of range" in found.reason


def test_digest(tmp_path: Path):
    document = seal(flow())
    for digest in ("", "sha256:" + "0" * 64, None, document["digest"].upper()):
        path = write({**document, "digest": digest}, tmp_path / "c.json", sealed=False)
        assert not check(path).accepted
    del document["digest"]
    assert not check(write(document, tmp_path / "c.json", sealed=False)).accepted


def test_nesting_that_json_still_reads(tmp_path: Path):
    document, deep = flow(), []
    for _ in range(900):
        deep = [deep]
    text = json.dumps({**document, "prover": deep})
    (tmp_path / "c.json").write_text(text)
    try:
        assert not check(tmp_path / "c.json").accepted
    except Unusable:
        pass


VALUES = [None, True, -1, 0, 0.5, 10**30, -1e300, "", "x", "0x1.8p-3", "nan", "inf", [], [0], {}]
VALUES += ["0x1.0000000000000p-200000", "0x1.0000000000000p+200000", "absolute_value", "rate"]
# What no claim depends on, or what may be weakened.
HARMLESS = {"library", "numpy", "python", "blas", "step", "leak", "time_constant"}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values inside a JSON object."""
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(child, (*path, key))


@pytest.mark.parametrize("kind", ["flow", "step32", "assembly", "elman"])
def test_any_value_in_any_place(kind: str, tmp_path: Path):
    """Odd values, missing entries and additional entries, each under a valid digest."""
    arrays = rate_arrays(3, 3, norm=0.3)
    document = {
        "flow": flow,
        "step32": step32,
        "assembly": lambda: assembly("semi_implicit", sizes=[2, 1]),
        "elman": lambda: elman("absolute_value", "tanh", arrays, SCALE),
    }[kind]()
    assert check(write(document, tmp_path / "c.json")).accepted
    for path in places(document):
        # A flow meets every value in every place, the longer certificates a part of them in each.
        part = VALUES if kind == "flow" else VALUES[len(str(path)) % 3 :: 3]
        for value in [*part, "remove", "add"]:
            changed = copy.deepcopy(document)
            spot = changed
            for key in path[:-1]:
                spot = spot[key]
            if value == "remove":
                del spot[path[-1]]
            elif value == "add" and isinstance(spot, dict):
                spot["more"] = 1
            elif spot[path[-1]] == value and type(spot[path[-1]]) is type(value):
                continue
            else:
                spot[path[-1]] = value
            try:
                accepted = check(write(changed, tmp_path / "c.json")).accepted
            except Unusable:
                assert path == ("format",)
                continue
            same_network = path == ("float32",) and value is None
            assert not accepted or path[-1] in HARMLESS or same_network, (path, value)


def test_tensors_that_claim_to_be_huge(tmp_path: Path):
    for shape in ([2**40, 2**40], [2**31, 2**31], [4294967295, 0], [0, 10**9], [3, 3, 1], [-3, -3]):
        document = flow()
        for name in ("weight", "input_weight"):
            changed = copy.deepcopy(document)
            changed["network"]["tensors"][name]["shape"] = shape
            assert not check(write(changed, tmp_path / "c.json")).accepted
            changed["network"]["tensors"][name]["data"] = ""
            assert not check(write(changed, tmp_path / "c.json")).accepted


def test_base64_has_one_spelling(tmp_path: Path):
    document = flow()
    entry = document["network"]["tensors"]["bias"] = tensor(np.zeros(3, np.float32))
    assert not check(write(document, tmp_path / "c.json")).reason.startswith("a tensor")
    good = entry["data"]
    document["network"]["tensors"]["bias"] = tensor(np.zeros(2, np.float32))
    for data in (good[:-1], good[:-1] + "\n", good[:-1] + "-", good + "=", good[:-4] + "A==="):
        document["network"]["tensors"]["bias"] = {**entry, "data": data}
        assert not check(write(document, tmp_path / "c.json")).accepted
    loose = {"dtype": "float32", "shape": [1], "data": "AAAAAB=="}  # spare bits are set
    document["network"]["tensors"]["bias"] = loose
    assert "base64" in check(write(document, tmp_path / "c.json")).reason


# The model beside the certificate


@pytest.mark.parametrize("kind", ["flow", "step", "assembly", "elman"])
def test_model_agrees(kind: str, tmp_path: Path):
    arrays = rate_arrays(3, 3, norm=0.3)
    document = {
        "flow": flow(),
        "step": step32(),
        "assembly": assembly(None, sizes=[2, 2]),
        "elman": elman("singular_value", "tanh", arrays, SCALE),
    }[kind]
    save_model(tmp_path, document, **{"readout.weight": np.ones((1, 3))})
    path = write(document, tmp_path / "certificates" / "c.json")
    found = check(path)
    assert found.accepted and "the model's weights" in found.claim, found.reason
    assert check(write(bind(document, tmp_path), path)).accepted


def test_model_elsewhere(tmp_path: Path, monkeypatch):
    path = write(flow(), tmp_path / "here" / "c.json")
    save_model(tmp_path / "there", flow())
    assert "no model compared" in check(path).claim
    assert "the model's weights" in check(path, tmp_path / "there").claim
    assert not check(path, tmp_path / "nowhere").accepted
    save_model(tmp_path, flow())
    path = write(flow(), tmp_path / "certificates" / "c.json")
    monkeypatch.chdir(path.parent)
    assert "the model's weights" in check("c.json").claim


def test_swapped_and_edited_models(tmp_path: Path):
    document = flow()
    path = tmp_path / "certificates" / "c.json"
    tensors = {name: decode(entry) for name, entry in document["network"]["tensors"].items()}
    other = rate_flow("singular_value", rate_config(), rate_arrays(4, 3, norm=0.3), SCALE)

    def accepted() -> bool:
        return check(write(document, path)).accepted

    save_model(tmp_path, document)
    assert accepted()
    save_model(tmp_path, other)
    assert not accepted()
    weight = tensors["weight"].copy()
    weight[0, 0] = np.nextafter(weight[0, 0], 1)
    for edited in (
        {**tensors, "weight": weight},
        {**tensors, "weight": tensors["weight"].T.copy()},
        {**tensors, "weight": tensors["weight"].reshape(9, 1)},
        {**tensors, "weight": tensors["weight"].astype(np.float32)},
        {key: value for key, value in tensors.items() if key != "weight"},
        {key: value for key, value in tensors.items() if key != "bias"},
        {key: value for key, value in tensors.items() if key != "input_weight"},
        {},
    ):
        save_tensors(tmp_path, edited)
        assert not accepted()
    save_tensors(tmp_path, tensors)
    assert accepted()
    for change in ({"leak": 1.5}, {"form": "firing_rate"}, {"format": "x"}, {"parameter": {}}):
        save_model(tmp_path, document)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        assert not accepted()
    for name in ("config.json", "model.safetensors"):
        for content in (b"", b"\xff" * 30, b"{}", None):
            save_model(tmp_path, document)
            (tmp_path / name).unlink()
            if content is not None:
                (tmp_path / name).write_bytes(content)
            assert not accepted()


def test_absent_bias_and_inputs_are_zero(tmp_path: Path):
    document = flow()
    document["network"]["tensors"]["bias"] = tensor(np.zeros(3))
    document["network"]["tensors"]["input_weight"] = tensor(np.zeros((3, 0)))
    tensors = {"weight": decode(document["network"]["tensors"]["weight"])}
    path = write(document, tmp_path / "certificates" / "c.json")
    save_model(tmp_path, document)
    save_tensors(tmp_path, tensors)
    assert check(path).accepted
    document["network"]["tensors"]["input_weight"] = tensor(np.zeros((3, 1)))
    assert not check(write(document, path)).accepted


def test_edited_readout_is_noticed_by_the_digests(tmp_path: Path):
    document, path = flow(), tmp_path / "certificates" / "c.json"
    save_model(tmp_path, document, **{"readout.weight": np.ones((1, 3))})
    bound = bind(document, tmp_path)
    assert check(write(bound, path)).accepted
    save_model(tmp_path, document, **{"readout.weight": np.full((1, 3), 2.0)})
    assert not check(write(bound, path)).accepted
    assert check(write(document, path)).accepted  # without digests only the network is bound
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + " ")
    assert not check(write(bound, path)).accepted


@pytest.mark.parametrize("offsets", [[0, 8], [-72, 72], [0.0, 72], [0], [72, 0], "ab", [0, 10**20]])
def test_odd_offsets(offsets, tmp_path: Path):
    document = flow()
    save_model(tmp_path, document)
    raw = (tmp_path / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header["weight"]["data_offsets"] = offsets
    text = json.dumps(header).encode()
    packed = struct.pack("<Q", len(text)) + text + raw[8 + length :]
    (tmp_path / "model.safetensors").write_bytes(packed)
    assert not check(write(document, tmp_path / "certificates" / "c.json")).accepted


# The command line


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "limitset.checker", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_exit_codes_and_lines(tmp_path: Path):
    good = write(flow(), tmp_path / "good é.json")
    liar = flow()
    liar["claim"]["rate"] = (0.99).hex()
    bad = write(liar, tmp_path / "bad.json")
    absent = tmp_path / "absent.json"
    for files, code in (
        ([good], 0), ([bad], 1), ([absent], 2), ([good, bad], 1), ([absent, bad, good], 2),
    ):  # fmt: skip
        done = run(*files)
        assert (done.returncode, done.stderr) == (code, "")
        lines = done.stdout.splitlines()
        words = {good: "accepted", bad: "rejected", absent: "unusable"}
        assert [line.split(":")[0] for line in lines] == [words[file] for file in files]
    done = run("--json", good, bad, absent)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["accepted"] for answer in answers] == [True, False, False]
    assert all(list(answer) == ["accepted", "claim", "reason"] for answer in answers)
    for words in ((), ("--what", good)):
        done = run(*words)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "Traceback" not in run("--model", tmp_path / "none", good).stdout
    assert run("--model", tmp_path / "none", good).returncode == 1
