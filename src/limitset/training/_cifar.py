"""CIFAR-10, pixel by pixel, from its binary layout."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from limitset._result import InputProblem
from limitset.training._datasets import Dataset, Split

_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_RECORD, _IMAGES, _CLASSES = 1 + 3 * 1024, 10_000, 10


def load_cifar10() -> Split:
    """CIFAR-10: 50000 and 10000 sequences of 1024 pixels, red, green and blue in [0, 1] per step.

    Read from `cifar-10-batches-bin` in the folder that the environment variable `LIMITSET_DATA`
    names: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`. It is not downloaded, and
    the files' contents are not compared with the published ones: re-encoded copies are in
    circulation. Say beside a figure which copy it was measured on.

    **Raises:** `InputProblem` if a file is missing or is not of that layout.

    **Reference:** Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """
    named = os.environ.get("LIMITSET_DATA")
    folder = Path(named).expanduser() / _FOLDER if named else None
    if folder is None or not folder.is_dir():
        raise InputProblem(
            f"CIFAR-10 was not found; put its binary version into a folder {_FOLDER} and name the "
            "folder above it in LIMITSET_DATA"
        )
    train = [_read_batch(folder / name) for name in _TRAIN]
    return Split(
        _dataset(train, "train"), _dataset([_read_batch(folder / "test_batch.bin")], "test")
    )


def _read_batch(path: Path) -> UInt8[np.ndarray, "b record"]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputProblem(
            f"{path} cannot be read ({error.strerror}); put all six batches of CIFAR-10's binary "
            "version there"
        ) from None
    if len(data) != _RECORD * _IMAGES:
        raise InputProblem(
            f"{path} has {len(data)} bytes, {_RECORD * _IMAGES} are needed; replace it by a fresh "
            "copy of CIFAR-10's binary version"
        )
    records = np.frombuffer(data, np.uint8).reshape(_IMAGES, _RECORD)
    if not records[:, 0].max() < _CLASSES:
        raise InputProblem(
            f"{path} has the label {records[:, 0].max()}; labels from 0 to 9 are needed: replace "
            "it by a fresh copy"
        )
    return records


def _dataset(batches: list[UInt8[np.ndarray, "b record"]], part: str) -> Dataset:
    records = np.concatenate(batches)
    planes = records[:, 1:].reshape(len(records), 3, 1024)
    inputs = planes.transpose(0, 2, 1).astype(np.float32)
    inputs /= 255
    return Dataset(inputs, records[:, 0].astype(np.int32), "cifar10", part)
