"""Files that are no certificate, and certificates that prove nothing."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from command_line import CONTRACTING, Reply, raw_safetensors
from limitset.io import save
from limitset.networks import RateNetwork

Refused = Callable[..., str]
Command = Callable[..., Reply]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"\xff\xfe" + "{}".encode("utf-16-le"),
        np.random.default_rng(1).bytes(5000),
        b"{",
        b"[]",
        b"3",
        b'"certificate"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b"{}",
        b'{"format": "limitset-certificate/2"}',
        b'{"format": ["limitset-certificate/1"]}',
        b'{"format": "limitset-model/1", "kind": "rate"}',
        pickle.dumps({"format": "limitset-certificate/1"}),
        raw_safetensors({}),
    ],
    ids=lambda content: f"{len(content)} bytes, {content[:24]!r}",
)
def test_files_that_are_no_certificate(refused: Refused, tmp_path: Path, content: bytes):
    path = tmp_path / "contraction.json"
    path.write_bytes(content)
    assert "contraction.json" in refused("check", path)


@pytest.mark.parametrize("place", ["nowhere", "folder", "name" * 100, "file/below", ""])
def test_places_without_a_file(refused: Refused, tmp_path: Path, place: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    refused("check", tmp_path / place)


def test_a_model_folder_that_is_none(refused: Refused, certificate: Path, tmp_path: Path):
    for place in ("nowhere", "model/config.json", "name" * 100):
        assert "--model" in refused("check", certificate, "--model", tmp_path / place)


def test_the_worst_file_decides(limitset: Command, certificate: Path, tmp_path: Path):
    (tmp_path / "garbage").write_text("garbage")
    altered = tmp_path / "altered.json"
    altered.write_text(certificate.read_text().replace('"hopfield"', '"firing_rate"'))
    files = [certificate, altered, tmp_path / "garbage", certificate]
    for as_json in ([], ["--json"]):
        reply = limitset("check", *files, *as_json)
        assert reply.code == 2 and reply.err.count("\n") == 1 and "garbage" in reply.err
        assert limitset("check", *files[:2], *as_json).code == 1
        assert limitset("check", certificate, certificate, *as_json).code == 0
    reply = limitset("check", *files, "--json")
    assert [answer["accepted"] for answer in reply.answers] == [True, False, False, True]


def rejected(limitset: Command, *words: object) -> str:
    """Checks what must be rejected: exit code 1, one line, nothing on standard error."""
    reply = limitset("check", *words)
    assert reply.code == 1 and reply.err == "", reply
    assert reply.out.startswith("rejected: ") and reply.out.count("\n") == 1, reply.out
    answer = limitset("check", *words, "--json").answers
    assert len(answer) == 1 and not answer[0]["accepted"] and answer[0]["reason"]
    return reply.out


def test_truncated_and_altered_files(limitset: Command, refused: Refused, certificate: Path):
    text = certificate.read_text()
    for end in (1, len(text) // 3, len(text) - 3):
        certificate.write_text(text[:end])
        refused("check", certificate)
    document = json.loads(text)
    document["claim"]["rate"] = (3.0).hex()
    for altered in (text + "\n", text.replace(" ", "  ", 1), json.dumps(document)):
        certificate.write_text(altered)
        rejected(limitset, certificate)


def test_the_wrong_model(limitset: Command, certificate: Path, tmp_path: Path):
    other = save(tmp_path / "other", RateNetwork(jnp.asarray(0.9 * CONTRACTING)))
    assert "model" in rejected(limitset, certificate, "--model", other)
    (tmp_path / "empty").mkdir()
    assert "model" in rejected(limitset, certificate, "--model", tmp_path / "empty")
    assert limitset("check", certificate, "--model", certificate.parent.parent).code == 0


def test_a_model_that_changed_after_its_proof(limitset: Command, certificate: Path):
    model = certificate.parent.parent
    weights, config = model / "model.safetensors", model / "config.json"
    before = weights.read_bytes(), config.read_bytes()
    save(model, RateNetwork(jnp.asarray(0.5 * CONTRACTING)))
    rejected(limitset, certificate)
    weights.write_bytes(b"garbage")
    rejected(limitset, certificate)
    weights.unlink()
    rejected(limitset, certificate)
    weights.write_bytes(before[0])
    config.write_bytes(before[1].replace(b'"leak": 1.0', b'"leak": 2.0'))
    rejected(limitset, certificate)
    config.write_bytes(before[1])
    assert limitset("check", certificate).code == 0


def test_odd_file_names_stay_on_one_line(limitset: Command, certificate: Path, tmp_path: Path):
    for name in ("two\nlines.json", "caf\udce9.json"):
        copy = tmp_path / name
        copy.write_bytes(certificate.read_bytes())
        reply = limitset("check", copy)
        assert reply.code == 0 and reply.out.count("\n") == 1 and reply.err == ""
        copy.write_text("garbage")
        reply = limitset("check", copy)
        assert reply.code == 2 and reply.out == "" and reply.err.count("\n") == 1
