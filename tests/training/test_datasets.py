"""Data sets and named tasks: real digits, idx files made here, and every way they can be wrong."""

import gzip
import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pooch
import pytest

from limitset._result import InputProblem
from limitset.training import _datasets
from limitset.training._datasets import (
    Dataset,
    Split,
    halve_images,
    hold_out,
    load_digits_sequences,
    load_fashion_mnist,
    load_idx,
    load_mnist,
    permute_steps,
)
from limitset.training._tasks import TASKS, find_task, fixed_permutation

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
COUNTS = {"train": 12, "t10k": 5}


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def tiny_contents() -> dict[str, bytes]:
    """Random images and labels, as the contents of the four files."""
    generator, contents = np.random.default_rng(7), {}
    for part, count in COUNTS.items():
        images = generator.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        images[0, 0, :2] = 0, 255
        contents[f"{part}-images-idx3-ubyte"] = idx_bytes(images)
        contents[f"{part}-labels-idx1-ubyte"] = idx_bytes(np.arange(count, dtype=np.uint8) % 10)
    return contents


def write(folder: Path, contents: dict[str, bytes], *, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, data in contents.items():
        if packed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / stem).write_bytes(data)
    return folder


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Tiny files take MNIST's place: their checksums, no folder named, an empty cache."""
    contents = tiny_contents()
    sums = {stem: hashlib.sha256(data).hexdigest() for stem, data in contents.items()}
    published = replace(_datasets._SOURCES["mnist"], checksums=sums)
    monkeypatch.setitem(_datasets._SOURCES, "mnist", published)
    monkeypatch.delenv("LIMITSET_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return contents


def problem(call: Callable[[], object], *parts: str) -> None:
    """The call refuses, in one line that holds all parts."""
    with pytest.raises(InputProblem) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


# --- Records ------------------------------------------------------------------------------------


def records(samples: int = 6, steps: int = 4) -> Dataset:
    inputs = np.arange(samples * steps, dtype=np.float32).reshape(samples, steps, 1)
    return Dataset(inputs, np.arange(samples, dtype=np.int32), "counting", "train")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"inputs": np.zeros((6, 4), np.float32)}, "(6, 4)"),
        ({"inputs": np.zeros((5, 4, 1), np.float32)}, "(5, 4, 1) and (6,)"),
        ({"inputs": np.zeros((6, 4, 1))}, "float64"),
        ({"labels": np.zeros(6, np.int64)}, "int64"),
        ({"labels": np.full(6, -1, np.int32)}, "label -1"),
        (
            {"inputs": np.zeros((0, 4, 1), np.float32), "labels": np.zeros(0, np.int32)},
            "at least one sample",
        ),
    ],
)
def test_unusable_records_are_refused(untyped: None, change: dict, part: str):
    problem(lambda: replace(records(), **change), "counting", part)


def test_hold_out_takes_the_last_training_samples():
    data = records()
    split = hold_out(Split(data, replace(data, part="test")), 2)
    assert split.validation is not None
    assert split.train.labels.tolist() == [0, 1, 2, 3]
    assert split.validation.labels.tolist() == [4, 5]
    assert (split.train.part, split.validation.part, split.test.part) == (
        "train", "validation", "test",
    )  # fmt: skip
    both = np.concatenate([split.train.inputs, split.validation.inputs])
    assert np.array_equal(both, data.inputs)
    assert split.test.inputs is data.inputs


@pytest.mark.parametrize("samples", [0, -1, 6, 7])
def test_hold_out_leaves_samples_on_both_sides(samples: int):
    problem(
        lambda: hold_out(Split(records(), records()), samples), f"{samples} validation", "1 and 5"
    )


def test_hold_out_happens_once():
    split = hold_out(Split(records(), records()), 2)
    problem(lambda: hold_out(split, 1), "once")


def test_permuted_steps():
    order = np.array([2, 0, 3, 1])
    split = hold_out(Split(records(), records(3)), 2)
    permuted = permute_steps(split, order)
    assert split.validation is not None and permuted.validation is not None
    for before, after in (
        (split.train, permuted.train),
        (split.test, permuted.test),
        (split.validation, permuted.validation),
    ):
        for step, source in enumerate(order):
            assert np.array_equal(after.inputs[:, step], before.inputs[:, source])
        assert np.array_equal(after.labels, before.labels)
    assert np.array_equal(
        permute_steps(permuted, np.argsort(order)).train.inputs, split.train.inputs
    )


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4]])
def test_only_permutations_permute(order: list[int]):
    problem(lambda: permute_steps(Split(records(), records()), np.array(order)), "4 steps", "once")


# --- The digits ---------------------------------------------------------------------------------


def test_digits_are_scikit_learns_digits():
    from sklearn.datasets import load_digits

    split, (pixels, classes) = load_digits_sequences(), load_digits(return_X_y=True)
    seen = np.concatenate([split.train.inputs, split.test.inputs])[:, :, 0]
    labels = np.concatenate([split.train.labels, split.test.labels])
    rows = np.column_stack([seen * 16, labels])
    original = np.column_stack([pixels, classes])
    # The same 1797 rows, each once: parts share no sample and lose none.
    assert np.array_equal(rows[np.lexsort(rows.T)], original[np.lexsort(original.T)])
    assert split.train.inputs.dtype == np.float32 and split.train.labels.dtype == np.int32
    assert seen.min() == 0 and seen.max() == 1


def test_digits_split_is_stratified():
    split = load_digits_sequences()
    train, test = np.bincount(split.train.labels), np.bincount(split.test.labels)
    assert (train.sum(), test.sum()) == (1437, 360)
    assert np.abs(test - (train + test) * 360 / 1797).max() < 1


def test_digits_split_is_fixed():
    """One hash over both parts: a change of split would change every published accuracy."""
    split = load_digits_sequences()
    labels = np.concatenate([split.train.labels, split.test.labels]).astype("<i4").tobytes()
    pixels = np.concatenate([split.train.inputs, split.test.inputs]) * 16
    digest = hashlib.sha256(labels + pixels.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "b4f4f8a09e849b57ddc5387295800b4dff62c98889951ab429ac77f55a9fd38a"


def test_digits_seed_chooses_the_split():
    first, again, other = (load_digits_sequences(seed).test.inputs for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_digits_seed_out_of_range(seed: int):
    problem(lambda: load_digits_sequences(seed), f"seed {seed}", "2**32 - 1")


# --- idx files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read(tmp_path: Path, packed: bool):
    contents = tiny_contents()
    split = load_idx(write(tmp_path, contents, packed=packed), "tiny")
    assert split.train.inputs.shape == (12, 784, 1) and split.test.inputs.shape == (5, 784, 1)
    assert split.train.inputs.dtype == np.float32 and split.train.labels.dtype == np.int32
    assert split.train.labels.tolist() == [*range(10), 0, 1]
    assert split.validation is None and split.train.name == "tiny"
    pixels = np.frombuffer(contents[IMAGES][16:], np.uint8).reshape(12, 784)
    assert np.array_equal(split.train.inputs[:, :, 0], pixels / np.float32(255))
    assert split.train.inputs[0, :2, 0].tolist() == [0, 1]


def test_raw_and_packed_files_may_be_mixed(tmp_path: Path):
    contents = tiny_contents()
    write(tmp_path, {s: contents[s] for s in (IMAGES, TEST_LABELS)})
    write(tmp_path, {s: contents[s] for s in (LABELS, TEST_IMAGES)}, packed=True)
    assert load_idx(str(tmp_path), "tiny").test.labels.tolist() == [0, 1, 2, 3, 4]


WRONG = {
    "empty": (IMAGES, lambda data: b"", "0 bytes"),
    "header only in part": (IMAGES, lambda data: data[:15], "idx header"),
    "images given as labels": (LABELS, lambda data: tiny_contents()[IMAGES], "number 2051"),
    "labels given as images": (IMAGES, lambda data: tiny_contents()[LABELS], "number 2049"),
    "floats": (IMAGES, lambda data: b"\0\0\x0d\x03" + data[4:], "needs 2051"),
    "little endian": (LABELS, lambda data: b"\x01\x08\0\0" + data[4:], "needs 2049"),
    "not square": (IMAGES, lambda data: data[:12] + struct.pack(">I", 27) + data[16:], "(28, 27)"),
    "no images": (IMAGES, lambda data: idx_bytes(np.zeros((0, 28, 28), np.uint8)), "0 items"),
    "no labels": (LABELS, lambda data: idx_bytes(np.zeros(0, np.uint8)), "0 items"),
    "truncated": (IMAGES, lambda data: data[:-1], "announces 9424"),
    "too long": (TEST_LABELS, lambda data: data + b"\0", "announces 13"),
    "huge count": (IMAGES, lambda data: data[:4] + b"\xff" * 4 + data[8:], "announces"),
    "fewer labels": (LABELS, lambda data: idx_bytes(np.zeros(11, np.uint8)), "12 images"),
    "label 10": (TEST_LABELS, lambda data: data[:-1] + b"\x0a", "label 10"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused(tmp_path: Path, case: str, packed: bool):
    stem, damage, part = WRONG[case]
    contents = tiny_contents()
    contents[stem] = damage(contents[stem])
    folder = write(tmp_path, contents, packed=packed)
    problem(lambda: load_idx(folder, "tiny"), str(tmp_path), stem, part)


@pytest.mark.parametrize("damage", ["not gzip", "cut off", "bit flip"])
def test_broken_archives_are_refused(tmp_path: Path, damage: str):
    path = write(tmp_path, tiny_contents(), packed=True) / f"{IMAGES}.gz"
    data = path.read_bytes()
    flipped = data[:2000] + bytes([data[2000] ^ 255]) + data[2001:]
    path.write_bytes({"not gzip": b"hello", "cut off": data[:2000], "bit flip": flipped}[damage])
    problem(lambda: load_idx(tmp_path, "tiny"), str(path), "cannot be read", "fresh copy")


@pytest.mark.parametrize("stem", [IMAGES, LABELS, TEST_IMAGES, TEST_LABELS])
def test_missing_files_are_named(tmp_path: Path, stem: str):
    (write(tmp_path, tiny_contents()) / stem).unlink()
    problem(lambda: load_idx(tmp_path, "tiny"), f"neither {stem} nor {stem}.gz", "all four")


def test_folder_that_does_not_exist(tmp_path: Path):
    problem(lambda: load_idx(tmp_path / "nowhere", "tiny"), "nowhere", "all four")


# --- Published data sets: found, downloaded, compared with their checksums ----------------------


@pytest.mark.parametrize("place", [".", "mnist", "MNIST/raw"])
def test_data_folder_is_found(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    write(tmp_path / place, tiny_mnist, packed=place == "mnist")
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    split = load_mnist()
    assert (split.train.name, split.train.inputs.shape) == ("mnist", (12, 784, 1))


def test_a_folder_named_after_the_data_set_comes_first(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, {stem: b"of another data set" for stem in tiny_mnist})
    write(tmp_path / "mnist", tiny_mnist)
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    assert load_mnist().test.labels.tolist() == [0, 1, 2, 3, 4]


def test_another_data_set_is_not_taken_for_mnist(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Well-formed files, but one pixel differs by one grey level."""
    data = tiny_mnist[TEST_IMAGES]
    write(tmp_path, {**tiny_mnist, TEST_IMAGES: data[:-1] + bytes([data[-1] ^ 1])})
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    problem(load_mnist, TEST_IMAGES, "not MNIST's", "SHA-256")


def test_incomplete_data_folder_is_not_completed_by_a_download(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (write(tmp_path / "mnist", tiny_mnist) / LABELS).unlink()
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    problem(load_mnist, LABELS, "mnist")


def test_data_folder_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path / "nowhere"))
    problem(load_mnist, "LIMITSET_DATA", "nowhere", "unset it")


class Host:
    """Stands for the network: serves `contents`, counts requests."""

    def __init__(self, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch):
        self.contents = contents
        self.requests: list[str] = []
        monkeypatch.setattr(pooch, "HTTPDownloader", lambda: self)

    def __call__(self, url: str, path: str, keeper: None) -> None:
        del keeper
        self.requests.append(url)
        Path(path).write_bytes(gzip.compress(self.contents[Path(url).stem]))


class NoNetwork:
    """What every request meets offline."""

    def __call__(self, url: str, path: str, keeper: None) -> None:
        del path, keeper
        raise ConnectionError(f"no route to {url}\nsecond line")


def test_download_happens_once(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    host = Host(tiny_mnist, monkeypatch)
    assert load_mnist().train.labels.shape == (12,)
    assert len(host.requests) == 4
    assert load_mnist().train.labels.shape == (12,)
    assert len(host.requests) == 4
    cached = sorted(path.name for path in (tmp_path / "cache/limitset/mnist").iterdir())
    assert cached == sorted(f"{stem}.gz" for stem in tiny_mnist)


def test_download_where_the_named_folder_lacks_the_data_set(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path))
    Host(tiny_mnist, monkeypatch)
    assert load_mnist().train.name == "mnist"


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_offline(
    tiny_mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, load: Callable[[], Split]
):
    monkeypatch.setattr(pooch, "HTTPDownloader", NoNetwork)
    problem(load, "MNIST could not be downloaded", "ConnectionError", "LIMITSET_DATA")


def test_wrong_bytes_from_the_host_are_not_kept(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    host = Host({**tiny_mnist, IMAGES: b"a login page"}, monkeypatch)
    problem(load_mnist, "other bytes than the published ones")
    # Every host was asked, and nothing stays behind under a name that a later run would trust.
    assert len(host.requests) == len(_datasets._SOURCES["mnist"].hosts)
    assert list((tmp_path / "cache/limitset/mnist").iterdir()) == []


def test_damaged_cache_is_noticed(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Host(tiny_mnist, monkeypatch)
    load_mnist()
    cached = tmp_path / "cache/limitset/mnist" / f"{TEST_LABELS}.gz"
    cached.write_bytes(gzip.compress(tiny_mnist[TEST_LABELS][:-1] + b"\x09"))
    problem(load_mnist, TEST_LABELS, "delete it")
    cached.write_bytes(b"not an archive")
    problem(load_mnist, str(cached))


def test_cache_that_cannot_be_written(
    tiny_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cache").write_text("a file where the folder should be")
    Host(tiny_mnist, monkeypatch)
    problem(load_mnist, "could not be downloaded", "LIMITSET_DATA")


# The published files hold 188 MB as float32; they are read where they are at hand.
HAS_MNIST = bool(os.environ.get("LIMITSET_DATA"))


@pytest.mark.skipif(not HAS_MNIST, reason="LIMITSET_DATA names no folder")
def test_published_mnist():
    split = find_task("smnist").load()
    assert split.train.inputs.shape == (60000, 784, 1)
    assert split.test.inputs.shape == (10000, 784, 1)
    # The well-known mean and standard deviation of the training pixels.
    pixels = split.train.inputs.astype(np.float64)
    assert abs(pixels.mean() - 0.1307) < 5e-5 and abs(pixels.std() - 0.3081) < 5e-5
    assert np.bincount(split.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_published_checksums_are_complete():
    for source in _datasets._SOURCES.values():
        assert list(source.checksums) == [IMAGES, LABELS, TEST_IMAGES, TEST_LABELS]
        assert all(len(checksum) == 64 for checksum in source.checksums.values())


# --- Tasks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "digest"),
    [
        (64, "b3b02c7f179e5544692fe8f4e928a633c22a15d9e3808bd3daaf553a34c82d09"),
        (196, "94ba5bd9da9105864436ec4bdaa4ed8e03baeca73bdab3d5d25c06af81e042f8"),
        (784, "d3fd1bb9662071eba85754c13a6997c1380c4d9254f7bef467276654217bcca8"),
    ],
)
def test_fixed_permutations_never_change(steps: int, digest: str):
    permutation = fixed_permutation(steps)
    assert sorted(permutation) == list(range(steps))
    assert hashlib.sha256(permutation.astype("<i4").tobytes()).hexdigest() == digest
    # Made as the file says.
    assert np.array_equal(permutation, np.random.RandomState(0).permutation(steps))


def test_no_permutation_for_other_lengths():
    problem(lambda: fixed_permutation(63), "63 steps", "64, 196, 784")


def test_task_names():
    images = ["digits", "pdigits", "smnist", "psmnist", "sfashion", "psfashion"]
    halved = ["smnist14", "psmnist14", "sfashion14", "psfashion14"]
    assert list(TASKS) == [*images, *halved, "scifar10", "copy", "adding"]
    assert all(task.name == name for name, task in TASKS.items())
    assert all("\n" not in task.description for task in TASKS.values())


@pytest.mark.parametrize("name", ["digits", "pdigits"])
def test_digit_tasks_are_what_they_say(name: str):
    task = find_task(name)
    split = task.load()
    for part in (split.train, split.test):
        assert part.inputs.shape[1:] == (task.steps, task.features)
        assert np.unique(part.labels).tolist() == list(range(task.classes))


@pytest.mark.parametrize("name", ["smnist", "psmnist", "smnist14", "psmnist14"])
def test_mnist_tasks_are_what_they_say(
    tiny_mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, name: str
):
    Host(tiny_mnist, monkeypatch)
    task = find_task(name)
    assert task.load().train.inputs.shape[1:] == (task.steps, task.features)


def test_permuted_tasks_permute():
    plain, permuted = find_task("digits").load(), find_task("pdigits").load()
    order = fixed_permutation(64)
    assert np.array_equal(permuted.test.inputs, plain.test.inputs[:, order])
    assert np.array_equal(permuted.test.labels, plain.test.labels)


def test_halved_images_are_means_of_four_pixels():
    whole = load_digits_sequences()
    halved = halve_images(whole)
    image = whole.test.inputs[5].reshape(8, 8)
    expected = [image[i : i + 2, j : j + 2].mean() for i in range(0, 8, 2) for j in range(0, 8, 2)]
    assert np.allclose(halved.test.inputs[5, :, 0], expected)
    assert np.array_equal(halved.train.labels, whole.train.labels)
    problem(lambda: halve_images(halve_images(halve_images(halved))), "1 steps", "even width")


def test_unknown_task_lists_the_names():
    problem(lambda: find_task("mnist"), "'mnist'", "digits, pdigits, smnist, psmnist, sfashion")
