"""CIFAR-10's binary layout, in files of the right size with known contents."""

from pathlib import Path

import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.training import _cifar as cifar
from limitset.training import find_task, load_cifar10, load_cifar100

NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images a file instead of ten thousand."""
    monkeypatch.setattr(cifar, "_IMAGES", 2)
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    batches = tmp_path / "cifar-10-batches-bin"
    batches.mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        records = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        records[:, 0] = [3, 9]
        (batches / name).write_bytes(records.tobytes())
    return batches


def test_pixels_come_one_per_step_with_three_colours(folder: Path):
    split = load_cifar10()
    assert split.train.inputs.shape == (10, 1024, 3) and split.test.inputs.shape == (2, 1024, 3)
    assert split.train.labels.tolist() == [3, 9] * 5
    record = np.frombuffer((folder / NAMES[1]).read_bytes(), np.uint8)[3073:]
    red, green, blue = record[1:1025], record[1025:2049], record[2049:]
    for step in (0, 31, 32, 1023):
        expected = np.array([red[step], green[step], blue[step]], np.float32) / 255
        assert np.allclose(split.train.inputs[3, step], expected)
    task = find_task("scifar10")
    assert task.load().test.inputs.shape[1:] == (task.steps, task.features)


def refused(part: str) -> None:
    with pytest.raises(InputProblem, match=part) as caught:
        load_cifar10()
    assert "\n" not in str(caught.value)


def test_damaged_copies_are_refused(folder: Path):
    whole = (folder / NAMES[2]).read_bytes()
    (folder / NAMES[2]).write_bytes(whole[:-1])
    refused("6145 bytes, 6146 are needed")
    (folder / NAMES[2]).write_bytes(bytes([10]) + whole[1:])
    refused("label 10")
    (folder / NAMES[2]).unlink()
    refused("cannot be read")


def test_without_the_data_it_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    refused("cifar-10-batches-bin")
    monkeypatch.delenv("LIMITSET_DATA")
    refused("LIMITSET_DATA")


@pytest.fixture
def hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten training images and two for tests."""
    monkeypatch.setattr(cifar, "_IMAGES", 2)
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    files = tmp_path / "cifar-100-binary"
    files.mkdir()
    rng = np.random.default_rng(0)
    for name, images in (("train.bin", 10), ("test.bin", 2)):
        records = rng.integers(0, 256, (images, 3074), dtype=np.uint8)
        records[:, 0], records[:, 1] = 19, np.arange(images) * 11
        (files / name).write_bytes(records.tobytes())
    return files


def test_cifar100_gives_the_fine_labels(hundred: Path):
    split = load_cifar100()
    assert split.train.inputs.shape == (10, 1024, 3) and split.test.inputs.shape == (2, 1024, 3)
    assert split.train.labels.tolist() == [11 * i for i in range(10)]
    record = np.frombuffer((hundred / "train.bin").read_bytes(), np.uint8)[3 * 3074 :]
    assert np.allclose(
        split.train.inputs[3, :, 2], record[2 + 2048 : 3074].astype(np.float32) / 255
    )


def test_damaged_copies_of_cifar100_are_refused(hundred: Path):
    def said(part: str) -> None:
        with pytest.raises(InputProblem, match=part) as caught:
            load_cifar100()
        assert "\n" not in str(caught.value)

    whole = (hundred / "test.bin").read_bytes()
    for coarse, fine, part in ((20, 5, "label 20; labels from 0 to 19"), (3, 100, "label 100")):
        (hundred / "test.bin").write_bytes(bytes([coarse, fine]) + whole[2:])
        said(part)
    (hundred / "test.bin").write_bytes(whole + b"0")
    said("6149 bytes, 6148 are needed")
    (hundred / "test.bin").unlink()
    said("train.bin, test.bin")
