"""Checkpoints of a training run: written whole, tied to the run they came from, no pickles."""

import contextlib
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from limitset._result import InputProblem


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch: arrays (as a pytree) and JSON-like facts."""

    arrays: PyTree
    facts: dict[str, Any]


def run_fingerprint(*facts: object) -> str:
    """A digest of what determines a run, so that a checkpoint of another run is refused."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def write_checkpoint(path: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write to a neighbouring file, then rename: a kill leaves the old checkpoint or the new.

    **Raises:** `InputProblem` if the place cannot be written.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(checkpoint.arrays)]
    header = json.dumps({"fingerprint": fingerprint, "facts": checkpoint.facts}, allow_nan=True)
    buffer = io.BytesIO()
    arrays = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
    np.savez(buffer, header=np.frombuffer(header.encode(), np.uint8), **arrays)  # pyright: ignore[reportArgumentType]
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputProblem(
            f"checkpoint {path} cannot be written ({error.strerror}); choose another place"
        ) from None


# What zipfile raises for damaged archives, apart from errors of the file system.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError, struct.error)


def read_checkpoint(path: Path, like: PyTree, fingerprint: str) -> Checkpoint:
    """Read a checkpoint into the structure of `like`.

    **Raises:** `InputProblem` if the file is damaged or comes from another run.
    """
    try:
        # Opened as an archive first: a lone array would come back as one, without its header.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            leaves = [stored[f"leaf_{i}"] for i in range(len(stored.files) - 1)]
            if not isinstance(header, dict):
                raise ValueError("the header is no object")
    except (OSError, ValueError, KeyError, EOFError, MemoryError, *_ZIP_ERRORS):
        raise InputProblem(
            f"checkpoint {path} is damaged; delete it to start the run again"
        ) from None
    if header.get("fingerprint") != fingerprint:
        raise InputProblem(
            f"checkpoint {path} belongs to another run (other settings, data or sizes); give "
            "another place, or delete it to start again"
        )
    expected, structure = jax.tree.flatten(like)
    if [(np.shape(a), np.asarray(a).dtype) for a in expected] != [
        (a.shape, a.dtype) for a in leaves
    ]:
        raise InputProblem(f"checkpoint {path} has other shapes; delete it to start the run again")
    return Checkpoint(jax.tree.unflatten(structure, leaves), header["facts"])
