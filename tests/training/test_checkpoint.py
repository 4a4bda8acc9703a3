"""Checkpoints: what is read is what was written, or the file is refused."""

import io
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.training._checkpoint import (
    Checkpoint,
    read_checkpoint,
    run_fingerprint,
    write_checkpoint,
)

ARRAYS = {
    "scalar": jnp.asarray(3, jnp.int32),
    "single": jnp.asarray([[1.5, -0.0, np.nan]], jnp.float32),
    "double": (jnp.asarray([np.pi]), jnp.zeros((0, 4))),
}
FACTS = {
    "history": [{"loss": 0.1, "factor": None}],
    "best": -1.0,
    "name": "\N{GREEK SMALL LETTER PI}",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "checkpoint.npz"
    write_checkpoint(place, Checkpoint(ARRAYS, FACTS), "this run")
    return place


def assert_same(stored: Checkpoint) -> None:
    assert stored.facts == FACTS
    assert jax.tree.structure(stored.arrays) == jax.tree.structure(ARRAYS)
    pairs = zip(jax.tree.leaves(stored.arrays), jax.tree.leaves(ARRAYS), strict=True)
    for found, wanted in pairs:
        wanted = np.asarray(wanted)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        assert found.tobytes() == wanted.tobytes()


def test_round_trip_is_exact(path: Path):
    assert_same(read_checkpoint(path, ARRAYS, "this run"))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_another_run_is_refused(path: Path):
    with pytest.raises(InputProblem, match="another run"):
        read_checkpoint(path, ARRAYS, "that run")


@pytest.mark.parametrize(
    "like",
    [
        {**ARRAYS, "scalar": jnp.asarray(3.0)},
        {**ARRAYS, "single": jnp.zeros((3, 1), jnp.float32)},
        {"scalar": jnp.asarray(3, jnp.int32)},
        {**ARRAYS, "more": jnp.zeros(1)},
    ],
)
def test_other_shapes_are_refused(path: Path, like: dict[str, object]):
    with pytest.raises(InputProblem, match="shapes"):
        read_checkpoint(path, like, "this run")


def test_damage_is_seen_or_harmless(path: Path):
    """Every truncation is refused; a flipped bit is refused unless it touches no content."""
    whole, generator = path.read_bytes(), np.random.default_rng(0)
    for end in [0, 1, 2, 3, 4, 22, *generator.integers(len(whole), size=100).tolist()]:
        path.write_bytes(whole[:end])
        with pytest.raises(InputProblem, match="damaged"):
            read_checkpoint(path, ARRAYS, "this run")
    for position in generator.choice(len(whole), size=min(len(whole), 1500), replace=False):
        altered = bytearray(whole)
        altered[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(altered))
        try:
            stored = read_checkpoint(path, ARRAYS, "this run")
        except InputProblem as problem:
            assert "\n" not in str(problem) and str(path) in str(problem)
        else:
            assert_same(stored)


def lone_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        lone_array(),
        pickle.dumps({"header": 3}),
        archive(leaf_0=np.zeros(2)),
        archive(header=np.frombuffer(b"[]", np.uint8)),
        archive(header=np.frombuffer(b"\xff", np.uint8)),
        archive(header=np.array([{}], dtype=object)),
        archive(header=np.frombuffer(b"{}", np.uint8), other=np.zeros(2)),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes):
    place = tmp_path / "checkpoint.npz"
    place.write_bytes(content)
    with pytest.raises(InputProblem, match="damaged"):
        read_checkpoint(place, ARRAYS, "this run")
    place.unlink()
    place.mkdir()
    with pytest.raises(InputProblem, match="damaged"):
        read_checkpoint(place, ARRAYS, "this run")


def test_a_pickle_inside_is_never_opened(tmp_path: Path):
    place = tmp_path / "checkpoint.npz"
    trap = np.array([Trap(str(tmp_path / "sprung"))], dtype=object)
    place.write_bytes(archive(header=np.frombuffer(b"{}", np.uint8), leaf_0=trap))
    with pytest.raises(InputProblem, match="damaged"):
        read_checkpoint(place, {"a": jnp.zeros(1)}, "this run")
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Unpickling one of these writes a file."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.place, "w")


def test_a_failed_write_leaves_the_old_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch):
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(InputProblem, match="No space left"):
            write_checkpoint(path, Checkpoint(ARRAYS, {}), "another run")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    (path.parent / "file").write_text("")
    with pytest.raises(InputProblem, match="cannot be written"):
        write_checkpoint(path.parent / "file" / "c.npz", Checkpoint(ARRAYS, {}), "this run")


def test_fingerprints_tell_facts_apart():
    facts = [(), (1,), ("1",), (1.0,), ((1, 2),), (1, 2), ([1, 2],), ("ab", "c"), ("a", "bc")]
    assert len({run_fingerprint(*fact) for fact in facts}) == len(facts)
    assert run_fingerprint(1, "a") == run_fingerprint(1, "a")
