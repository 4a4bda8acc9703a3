"""CIFAR-10 and CIFAR-100, pixel by pixel, from their binary layouts."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from limitset._result import InputProblem
from limitset.training._datasets import Dataset, Split

# Images of a file of CIFAR-10; the files of CIFAR-100 hold one and five times as many.
_IMAGES = 10_000


@dataclass(frozen=True)
class _Layout:
    """A binary layout: files and how many times `_IMAGES` each holds, labels before the pixels.

    The last label of a record is the class.
    """

    title: str
    name: str
    folder: str
    train: tuple[tuple[str, int], ...]
    test: tuple[str, int]
    label_counts: tuple[int, ...]

    @property
    def record(self) -> int:
        """Bytes of one image with its labels."""
        return len(self.label_counts) + 3 * 1024


_TEN = _Layout(
    "CIFAR-10",
    "cifar10",
    "cifar-10-batches-bin",
    tuple((f"data_batch_{i}.bin", 1) for i in range(1, 6)),
    ("test_batch.bin", 1),
    (10,),
)
_HUNDRED = _Layout(
    "CIFAR-100", "cifar100", "cifar-100-binary", (("train.bin", 5),), ("test.bin", 1), (20, 100)
)


def load_cifar10() -> Split:
    """CIFAR-10: 50000 and 10000 sequences of 1024 pixels, red, green and blue in [0, 1] per step.

    Read from `cifar-10-batches-bin` in the folder that the environment variable `LIMITSET_DATA`
    names: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`. It is not downloaded, and
    the files' contents are not compared with the published ones: re-encoded copies are in
    circulation. Say beside a figure which copy it was measured on.

    **Raises:** `InputProblem` if a file is missing or is not of that layout.

    **Reference:** Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """
    return _load(_TEN)


def load_cifar100() -> Split:
    """CIFAR-100: 50000 and 10000 sequences like CIFAR-10's, of 100 classes (the fine labels).

    Read from `train.bin` and `test.bin` in the folder `cifar-100-binary`, found like CIFAR-10's.
    The 20 coarse labels are checked and left out; contents are not compared with the published.

    **Raises:** `InputProblem` if a file is missing or is not of that layout.

    **Reference:** Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """
    return _load(_HUNDRED)


def _load(layout: _Layout) -> Split:
    named = os.environ.get("LIMITSET_DATA")
    folder = Path(named).expanduser() / layout.folder if named else None
    if folder is None or not folder.is_dir():
        raise InputProblem(
            f"{layout.title} was not found; put its binary version into a folder {layout.folder} "
            "and name the folder above it in LIMITSET_DATA"
        )
    train = [_read_file(folder / name, times, layout) for name, times in layout.train]
    name, times = layout.test
    test = [_read_file(folder / name, times, layout)]
    return Split(_dataset(train, "train", layout), _dataset(test, "test", layout))


def _read_file(path: Path, times: int, layout: _Layout) -> UInt8[np.ndarray, "b record"]:
    try:
        data = path.read_bytes()
    except OSError as error:
        names = ", ".join(name for name, _ in (*layout.train, layout.test))
        raise InputProblem(
            f"{path} cannot be read ({error.strerror}); put all files of {layout.title}'s binary "
            f"version there: {names}"
        ) from None
    needed = layout.record * times * _IMAGES
    if len(data) != needed:
        raise InputProblem(
            f"{path} has {len(data)} bytes, {needed} are needed; replace it by a fresh copy of "
            f"{layout.title}'s binary version"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, layout.record)
    for column, classes in enumerate(layout.label_counts):
        largest = records[:, column].max()
        if not largest < classes:
            raise InputProblem(
                f"{path} has the label {largest}; labels from 0 to {classes - 1} are needed: "
                "replace it by a fresh copy"
            )
    return records


def _dataset(files: list[UInt8[np.ndarray, "b record"]], part: str, layout: _Layout) -> Dataset:
    records, labels = np.concatenate(files), len(layout.label_counts)
    planes = records[:, labels:].reshape(len(records), 3, 1024)
    inputs = planes.transpose(0, 2, 1).astype(np.float32)
    inputs /= 255
    return Dataset(inputs, records[:, labels - 1].astype(np.int32), layout.name, part)
