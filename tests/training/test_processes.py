"""Two processes on one machine train one model as one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from limitset.training import Recipe, fit, hold_out
from tiny_training import tiny_classifier, tiny_split

TESTS = Path(__file__).parent.parent
SECONDS = 240

WORKER = """
import json, sys
import jax
index, port, place = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=index)

from pathlib import Path
import numpy as np
from limitset._result import InputProblem
from limitset.training import Recipe, fit, hold_out
from tiny_training import tiny_classifier, tiny_split

assert jax.process_count() == 2 and jax.device_count() == 4
split = hold_out(tiny_split(), 6)


class Killed(Exception):
    pass


def run(batch, model, kill_after=None):
    written = []

    def on_epoch(record):
        if kill_after == record.index:
            raise Killed
        written.append(record.index)

    try:
        result = fit(
            model,
            split.train,
            Recipe(epochs=3, batch_size=batch, learning_rate=0.02),
            validation=split.validation,
            checkpoint=Path(place),
            on_epoch=on_epoch,
        )
    except Killed:
        return None
    weights = np.concatenate([np.ravel(a) for a in jax.tree.leaves(result.model)])
    return {
        "weights": weights.tolist(),
        "losses": [e.loss for e in result.history],
        "scores": [e.validation_accuracy for e in result.history],
        "epochs": written,
    }


def refusal(batch, model):
    try:
        run(batch, model)
    except InputProblem as problem:
        return str(problem)


assert run(8, tiny_classifier(), kill_after=1) is None
print(json.dumps({
    "result": run(8, tiny_classifier()),
    "uneven": refusal(9, tiny_classifier()),
    "unequal": refusal(6, tiny_classifier(seed=index)),
}))
"""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def answers(place: Path) -> list[dict]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "JAX_PLATFORMS": "cpu",
        # Both processes, and every run in them, compile the same.
        "JAX_COMPILATION_CACHE_DIR": str(place.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    words = [str(free_port()), str(place)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(index), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [worker.communicate(timeout=SECONDS) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, (_, error) in zip(workers, said, strict=True):
        assert worker.returncode == 0, error
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return answers(tmp_path_factory.mktemp("run") / "checkpoint.npz")


def test_two_processes_make_the_updates_of_one(two: list[dict]):
    split, recipe = hold_out(tiny_split(), 6), Recipe(epochs=3, batch_size=8, learning_rate=0.02)
    alone = fit(tiny_classifier(), split.train, recipe, validation=split.validation)
    weights = np.concatenate([np.ravel(a) for a in jax.tree.leaves(alone.model)])
    for answer in two:
        found = answer["result"]
        np.testing.assert_allclose(found["weights"], weights, rtol=0, atol=1e-5)
        losses = [epoch.loss for epoch in alone.history]
        np.testing.assert_allclose(found["losses"], losses, rtol=1e-5)
        assert found["scores"] == [epoch.validation_accuracy for epoch in alone.history]


def test_both_return_the_same_bit_for_bit(two: list[dict]):
    assert two[0]["result"] == two[1]["result"]


def test_both_went_on_from_the_checkpoint_of_the_first(two: list[dict]):
    assert all(answer["result"]["epochs"] == [2] for answer in two)


def test_batches_that_cannot_be_shared_and_models_that_differ_are_refused(two: list[dict]):
    for answer in two:
        assert "9 cannot be shared evenly by 2 processes" in answer["uneven"]
        assert answer["unequal"].startswith("processes came with different models")
