"""What the commands answer: verdicts, exit codes, one JSON object each, files where they belong."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from command_line import CONTRACTING, RATE, Reply, listing, write_model
from limitset._result import InputProblem
from limitset.dynamics import ExplicitEuler, ExponentialEuler, SemiImplicit, discretise
from limitset.io import load, save
from limitset.networks import (
    GRU,
    LSTM,
    Assembly,
    Elman,
    RateNetwork,
    random_gru,
    random_lstm,
)
from limitset.proofs import UnsoundArithmetic

Command = Callable[..., Reply]

KEYS = {"verdict", "evidence", "theorem", "time", "margin", "certificate", "tried"}


def two_modules() -> Assembly:
    module = RateNetwork(jnp.asarray(CONTRACTING), jnp.ones((2, 1)))
    skew = jnp.kron(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.eye(2))
    return Assembly((module, module), skew)


def elman() -> Elman:
    return Elman(jnp.ones((2, 1)), jnp.asarray(CONTRACTING), jnp.zeros(2), jnp.zeros(2))


@pytest.mark.parametrize(
    "system",
    [
        RateNetwork(jnp.asarray(CONTRACTING)),
        RateNetwork(jnp.asarray(CONTRACTING, jnp.float32), form="firing_rate", leak=2.0),
        two_modules(),
        elman(),
        discretise(RateNetwork(jnp.asarray(CONTRACTING)), ExplicitEuler(0.5)),
        discretise(RateNetwork(jnp.asarray(CONTRACTING)), ExponentialEuler(0.5)),
        discretise(two_modules(), SemiImplicit(1.0)),
        discretise(two_modules(), ExponentialEuler(0.25)),
    ],
    ids=lambda system: type(system).__name__,
)
def test_certified(limitset: Command, tmp_path: Path, system: RateNetwork):
    folder = save(tmp_path / "model", system)
    reply = limitset("certify", folder, "--json")
    assert reply.code == 0 and reply.err == "" and len(reply.answers) == 1
    answer = reply.answers[0]
    value = "rate" if isinstance(system, RateNetwork | Assembly) else "factor"
    assert set(answer) >= KEYS | {value}
    assert answer["verdict"] == "certified" and answer["evidence"] == "verified"
    assert answer["time"] == {"rate": "continuous", "factor": "discrete"}[value]
    assert 0 < answer["margin"] <= (answer["rate"] if value == "rate" else 1 - answer["factor"])
    assert {attempt["theorem"] for attempt in answer["tried"]} >= {answer["theorem"]}
    path = folder / "certificates" / "contraction.json"
    assert answer["certificate"] == str(path)
    checked = limitset("check", path, "--json")
    assert checked.code == 0 and checked.err == "" and len(checked.answers) == 1
    assert set(checked.answers[0]) == {"accepted", "claim", "reason"}
    assert checked.answers[0]["accepted"] is True and value in checked.answers[0]["claim"]


@pytest.mark.parametrize(
    "system",
    [
        random_gru(jax.random.key(0), 2, 1),
        random_lstm(jax.random.key(0), 2, 1),
        RateNetwork(jnp.asarray(CONTRACTING), activation="silu"),
        # The eigenvalues of W D cross 1 for no slopes in [0, 1]; all the bounds are too coarse.
        RateNetwork(jnp.triu(jnp.full((12, 12), 5.0), 1), activation="gelu"),
    ],
    ids=lambda system: type(system).__name__,
)
def test_unknown(limitset: Command, tmp_path: Path, system: GRU | LSTM | RateNetwork):
    folder = save(tmp_path / "model", system)
    before = listing(tmp_path)
    reply = limitset("certify", folder, "--json")
    assert reply.code == 1 and reply.err == "" and len(reply.answers) == 1
    answer = reply.answers[0]
    assert answer["verdict"] == "unknown" and answer["reason"] and set(answer) >= KEYS
    assert answer["certificate"] is None and answer["evidence"] is None
    assert listing(tmp_path) == before
    told = limitset("certify", folder)
    assert told.code == 1 and told.out.startswith("unknown: ") and told.err == ""


@pytest.mark.parametrize("gain", [1.5, 20.0])
def test_refuted(limitset: Command, tmp_path: Path, gain: float):
    network = RateNetwork(jnp.array([[gain, 0.0], [0.0, 0.1]]), bias=jnp.array([0.5, 0.0]))
    folder = save(tmp_path / "model", network)
    reply = limitset("certify", folder, "--json")
    assert reply.code == 1 and reply.err == "" and len(reply.answers) == 1
    answer = reply.answers[0]
    assert answer["verdict"] == "refuted" and answer["evidence"] == "verified"
    witness = np.array(answer["witness"])
    slopes = 1 - np.tanh(witness) ** 2
    jacobian = np.asarray(network.weight) * slopes - np.eye(2)
    assert np.linalg.eigvals(jacobian).real.max() >= 0
    told = limitset("certify", folder)
    assert told.code == 1 and told.out.startswith("refuted: ")
    assert not (folder / "certificates").exists()


def test_out_takes_the_certificate(limitset: Command, model: Path, tmp_path: Path):
    before = listing(model)
    reply = limitset("certify", model, "--out", tmp_path / "a" / "b")
    path = tmp_path / "a" / "b" / "contraction.json"
    assert reply.code == 0 and str(path) in reply.out
    assert path.is_file() and listing(model) == before
    told = limitset("check", path, "--json").answers[0]
    assert told["accepted"] and "no model" in told["claim"]
    told = limitset("check", path, "--model", model, "--json").answers[0]
    assert told["accepted"] and "no model" not in told["claim"]


def test_certifying_twice_writes_the_same_bytes(limitset: Command, certificate: Path, model: Path):
    first = certificate.read_bytes()
    certificate.write_text("old")
    assert limitset("certify", model).code == 0
    assert certificate.read_bytes() == first


def test_input_bound_reaches_the_float32_statement(limitset: Command, tmp_path: Path):
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), elman())
    folder = save(tmp_path / "model", single)
    gaps = [
        limitset("certify", folder, "--input-bound", bound, "--json").answers[0]["float32_gap"]
        for bound in (0, 1, 100)
    ]
    assert 0 < gaps[0] <= gaps[1] <= gaps[2]


def test_a_hand_written_model(limitset: Command, tmp_path: Path):
    """Optional keys and tensors may be left out, and numbers may be whole."""
    config = {**RATE, "leak": 1, "time_constant": 2, "about": {"by": "hand"}}
    folder = write_model(tmp_path / "model", config, {"weight": CONTRACTING})
    assert limitset("certify", folder).code == 0
    reply = limitset("check", folder / "certificates" / "contraction.json")
    assert reply.code == 0, reply


def test_a_hand_written_cell_without_biases(limitset: Command, tmp_path: Path):
    """As PyTorch stores `nn.RNN(1, 2, bias=False)`."""
    config = {"format": RATE["format"], "kind": "elman", "activation": "tanh"}
    tensors = {"weight_ih_l0": np.ones((2, 1)), "weight_hh_l0": CONTRACTING}
    folder = write_model(tmp_path / "model", config, tensors)
    assert limitset("certify", folder).code == 0
    reply = limitset("check", folder / "certificates" / "contraction.json")
    assert reply.code == 0, reply


def test_a_map_that_forgets_at_once(limitset: Command, tmp_path: Path):
    """Factor 0 is a factor."""
    cell = Elman(jnp.ones((2, 1)), jnp.zeros((2, 2)), jnp.zeros(2), jnp.zeros(2))
    reply = limitset("certify", save(tmp_path / "model", cell), "--json")
    assert reply.code == 0
    assert reply.answers[0]["time"] == "discrete" and 0 <= reply.answers[0]["factor"] < 1e-6


def test_a_machine_that_cannot_prove(
    limitset: Command, model: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse() -> None:
        raise UnsoundArithmetic("This machine's arithmetic is not sound for proofs: rounding.")

    monkeypatch.setattr("limitset.contraction._certify.require_sound_arithmetic", refuse)
    reply = limitset("certify", model)
    assert reply.code == 2 and reply.out == "" and reply.err.count("\n") == 1
    assert "rounding" in reply.err


def test_lack_of_memory_is_said_in_one_line(
    limitset: Command, model: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("limitset.cli._certify.certify", fail)
    reply = limitset("certify", model)
    assert reply.code == 2 and reply.err.count("\n") == 1 and "memory" in reply.err


def test_interrupted(limitset: Command, model: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limitset.cli._certify.certify", interrupt)
    reply = limitset("certify", model)
    assert reply.code == 130 and reply.out == ""
    assert reply.err.strip().count("\n") == 0 and "interrupted" in reply.err


def test_our_own_mistakes_are_not_called_bad_input(
    limitset: Command, model: Path, monkeypatch: pytest.MonkeyPatch
):
    for mistake in (RuntimeError("bug"), ZeroDivisionError("bug"), TypeError("bug")):

        def fail(*_: object, mistake: Exception = mistake, **__: object) -> None:
            raise mistake

        monkeypatch.setattr("limitset.cli._certify.certify", fail)
        with pytest.raises(type(mistake), match="bug"):
            limitset("certify", model)


def test_a_loaded_model_is_what_was_saved(limitset: Command, model: Path):
    """`certify` changes nothing in the folder but the certificates."""
    before = listing(model)
    assert limitset("certify", model).code == 0
    after = listing(model)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"certificates", "certificates/contraction.json"}
    with pytest.raises(InputProblem):
        load(model / "certificates")
