"""Labelled sequences from real images: handwritten digits, MNIST and Fashion-MNIST."""

import gzip
import hashlib
import math
import os
import struct
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8

from limitset._result import InputProblem


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences of equal length, and what is to be said of each.

    **Arguments:**

    - `inputs`: float32, shape (samples, steps, features).
    - `labels`: the class of each sequence, counted from 0: int32, shape (samples,); or of each
      step, `-1` where nothing is asked: int32, shape (samples, steps); or a number for each
      sequence: float32, shape (samples,).
    - `name`: the data set that the samples come from.
    - `part`: which part of it: `"train"`, `"validation"` or `"test"`.

    **Raises:** `InputProblem` if there is no sample, sizes differ or a label is none.
    """

    inputs: Float32[np.ndarray, "b t m"]
    labels: Int32[np.ndarray, " b"] | Int32[np.ndarray, "b t"] | Float32[np.ndarray, " b"]
    name: str
    part: str

    def __post_init__(self) -> None:
        shapes = self.inputs.shape, self.labels.shape
        fits = shapes[1] in (shapes[0][:1], shapes[0][:2])
        if self.inputs.ndim != 3 or not fits or not shapes[1][0]:
            raise InputProblem(
                f"inputs and labels of {self.name} have shapes {shapes[0]} and {shapes[1]}; "
                "give (samples, steps, features) and (samples,) or (samples, steps), with at least "
                "one sample"
            )
        numbers = self.labels.dtype == np.float32 and self.labels.ndim == 1
        if self.inputs.dtype != np.float32 or not (self.labels.dtype == np.int32 or numbers):
            raise InputProblem(
                f"inputs and labels of {self.name} are {self.inputs.dtype} and "
                f"{self.labels.dtype}; convert them to float32 and int32 (float32 for numbers)"
            )
        if numbers and not np.isfinite(self.labels).all():
            raise InputProblem(f"{self.name} has NaN or infinite labels; repair it")
        least = 0 if self.labels.ndim == 1 else -1
        if not numbers and not (self.labels.min() >= least):
            raise InputProblem(
                f"{self.name} has the label {self.labels.min()}; count classes from 0"
            )


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in parts: what is trained on, what choices are made on, what is reported.

    **Arguments:** `train`, `test`, and `validation` if one was held out (`hold_out`).
    """

    train: Dataset
    test: Dataset
    validation: Dataset | None = None


def hold_out(split: Split, samples: int) -> Split:
    """The split whose validation part is the last `samples` training samples.

    Choose epochs and settings on that part: the test part is for the number that is reported.

    **Raises:** `InputProblem` if there is a validation part already, or too few samples.
    """
    total = len(split.train.labels)
    if split.validation is not None or not (0 < samples < total):
        raise InputProblem(
            f"{samples} validation samples were asked of {split.train.name}; take between 1 and "
            f"{total - 1} of its {total} training samples, once"
        )
    train, kept = split.train, total - samples
    return Split(
        replace(train, inputs=train.inputs[:kept], labels=train.labels[:kept]),
        split.test,
        replace(train, inputs=train.inputs[kept:], labels=train.labels[kept:], part="validation"),
    )


def permute_steps(split: Split, permutation: Int[np.ndarray, " t"]) -> Split:
    """The split with every sequence reordered: step k shows what step `permutation[k]` showed.

    **Raises:** `InputProblem` if `permutation` is not one of the sequences' steps.
    """

    def reorder(part: Dataset) -> Dataset:
        steps = part.inputs.shape[1]
        if not np.array_equal(np.sort(permutation), np.arange(steps)):
            raise InputProblem(
                f"{len(permutation)} positions came for sequences of {steps} steps; give every "
                f"number from 0 to {steps - 1} once"
            )
        return replace(part, inputs=part.inputs[:, permutation])

    held = None if split.validation is None else reorder(split.validation)
    return Split(reorder(split.train), reorder(split.test), held)


def halve_images(split: Split) -> Split:
    """Square images at half the width and height: every pixel is the mean of four.

    **Raises:** `InputProblem` if sequences are no square images of even width, row by row.

    >>> halve_images(load_digits_sequences()).train.inputs.shape
    (1437, 16, 1)
    """

    def halve(part: Dataset) -> Dataset:
        count, steps, features = part.inputs.shape
        width = math.isqrt(steps)
        if width * width != steps or width % 2:
            raise InputProblem(
                f"{part.name} has sequences of {steps} steps; square images of even width "
                "are needed"
            )
        blocks = part.inputs.reshape(count, width // 2, 2, width // 2, 2, features)
        return replace(part, inputs=blocks.mean((2, 4)).reshape(count, -1, features))

    held = None if split.validation is None else halve(split.validation)
    return Split(halve(split.train), halve(split.test), held)


# --- The digits that ship with scikit-learn -----------------------------------------------------

_DIGITS_TEST_SAMPLES = 360


def load_digits_sequences(seed: int = 0) -> Split:
    """Real handwritten digits (UCI, 8 x 8 pixels), row by row: 1437 and 360 sequences of 64 steps.

    Grey values `0 .. 16` are divided by 16. The split is stratified and depends on nothing but
    `seed`: the samples are ordered by `numpy.random.RandomState(seed).permutation(1797)`, a stream
    that NumPy keeps frozen, and the first of each class in that order are the test part, as many
    as its share of 360 (largest remainders). Both parts keep that order.

    **Arguments:** `seed`: which split; 0 is the one that limitset's tasks use.

    **Raises:** `InputProblem` for a seed that NumPy does not take.

    **Example:**

    >>> digits = load_digits_sequences()
    >>> digits.train.inputs.shape, digits.test.inputs.shape
    ((1437, 64, 1), (360, 64, 1))
    """
    from sklearn.datasets import load_digits  # takes a second to import

    if not (0 <= seed < 2**32):
        raise InputProblem(f"seed {seed} came; give a whole number from 0 to 2**32 - 1")
    pixels, classes = load_digits(return_X_y=True)
    inputs = (np.asarray(pixels) / 16).astype(np.float32)[:, :, None]
    labels = np.asarray(classes).astype(np.int32)
    train, test = _stratify(labels, _DIGITS_TEST_SAMPLES, seed)
    return Split(
        Dataset(inputs[train], labels[train], "digits", "train"),
        Dataset(inputs[test], labels[test], "digits", "test"),
    )


def _stratify(
    labels: Int32[np.ndarray, " b"], test_samples: int, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    order = np.random.RandomState(seed).permutation(len(labels))
    counts = np.bincount(labels) * test_samples
    quotas = counts // len(labels)
    by_remainder = np.argsort(-(counts % len(labels)), kind="stable")
    quotas[by_remainder[: test_samples - quotas.sum()]] += 1
    chosen = np.zeros(len(labels), bool)
    for label, quota in enumerate(quotas):
        chosen[np.flatnonzero(labels[order] == label)[:quota]] = True
    return order[~chosen], order[chosen]


# --- MNIST and Fashion-MNIST --------------------------------------------------------------------

_IMAGE, _CLASSES = (28, 28), 10
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class _Source:
    """Where a data set is found, and the SHA-256 of its four files.

    The sums are of the files' contents, not of the archives: several archives of the same bytes
    are in circulation.
    """

    title: str
    folders: tuple[str, ...]
    hosts: tuple[str, ...]
    checksums: dict[str, str]


_SOURCES = {
    "mnist": _Source(
        "MNIST",
        ("mnist", "MNIST/raw"),
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        {
            _FILES["train"][0]: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            _FILES["train"][1]: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            _FILES["test"][0]: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            _FILES["test"][1]: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": _Source(
        "Fashion-MNIST",
        ("fashion-mnist", "FashionMNIST/raw"),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            _FILES["train"][0]: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            _FILES["train"][1]: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            _FILES["test"][0]: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            _FILES["test"][1]: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def load_idx(folder: str | Path, name: str) -> Split:
    """Images in MNIST's layout, row by row: sequences of 784 pixels, divided by 255.

    **Arguments:**

    - `folder`: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
      `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each raw or as `.gz`.
    - `name`: what the data set is called in results.

    **Returns:** as many samples as the files hold.

    **Raises:** `InputProblem` if a file is missing, unreadable, truncated or of another kind.

    **Reference:** LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86 (1998); arXiv 1708.07747.
    """
    contents = {stem: _read(Path(folder), stem) for stems in _FILES.values() for stem in stems}
    return _assemble(contents, Path(folder), name)


def load_mnist() -> Split:
    """MNIST: 60000 and 10000 sequences of 784 pixels in [0, 1], bit for bit as published.

    Read from the folder that the environment variable `LIMITSET_DATA` names (the four files, or a
    subfolder `mnist` or `MNIST/raw` with them); otherwise downloaded once into the user's cache.

    **Raises:** `InputProblem` if the files are not MNIST's, or cannot be had.
    """
    return _load_published("mnist")


def load_fashion_mnist() -> Split:
    """Fashion-MNIST: 60000 and 10000 sequences of 784 pixels in [0, 1], as published.

    Found like MNIST (`load_mnist`), in a subfolder `fashion-mnist` or `FashionMNIST/raw`.

    **Raises:** `InputProblem` if the files are not Fashion-MNIST's, or cannot be had.
    """
    return _load_published("fashion-mnist")


def _load_published(name: str) -> Split:
    source = _SOURCES[name]
    folder = _find_folder(source) or _download(name, source)
    contents = {}
    for stem, checksum in source.checksums.items():
        contents[stem] = _read(folder, stem)
        if hashlib.sha256(contents[stem]).hexdigest() != checksum:
            raise InputProblem(
                f"{stem} in {folder} is not {source.title}'s (its SHA-256 differs); delete it to "
                f"download it, or put {source.title} into a folder {source.folders[0]} there"
            )
    return _assemble(contents, folder, name)


def _find_folder(source: _Source) -> Path | None:
    """The folder in `LIMITSET_DATA` that holds at least one of the files."""
    named = os.environ.get("LIMITSET_DATA")
    if not named:
        return None
    root = Path(named).expanduser()
    if not root.is_dir():
        raise InputProblem(
            f"LIMITSET_DATA is {named!r}, which is no folder; name the folder with the data "
            "sets, or unset it to download them"
        )
    for folder in (*(root / sub for sub in source.folders), root):
        if any((folder / f"{s}{end}").is_file() for s in source.checksums for end in ("", ".gz")):
            return folder
    return None


def _download(name: str, source: _Source) -> Path:
    """The cache folder with the data set's files, fetched now if they are not there yet."""
    import pooch

    folder = Path(pooch.os_cache("limitset")) / name
    for stem, checksum in source.checksums.items():
        target = folder / f"{stem}.gz"
        if target.is_file():
            continue
        reasons = []
        for host in source.hosts:
            reasons.append(_fetch(f"{host}{stem}.gz", target, checksum))
            if not reasons[-1]:
                break
        else:
            raise InputProblem(
                f"{source.title} could not be downloaded ({'; '.join(reasons)}); connect to the "
                "network, or name a folder with its four idx files in LIMITSET_DATA"
            )
    return folder


def _fetch(url: str, target: Path, checksum: str) -> str:
    """Store what `url` holds as `target` if its contents are right; otherwise say why not."""
    import pooch

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the file appears under its name whole or not at all.
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            archive = Path(scratch) / target.name
            pooch.HTTPDownloader()(url, str(archive), None)
            if hashlib.sha256(gzip.decompress(archive.read_bytes())).hexdigest() != checksum:
                return f"{url} holds other bytes than the published ones"
            archive.replace(target)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        return f"{url}: {type(error).__name__}"
    return ""


def _read(folder: Path, stem: str) -> bytes:
    raw, archive = folder / stem, folder / f"{stem}.gz"
    path = raw if raw.is_file() else archive
    try:
        return raw.read_bytes() if path is raw else gzip.decompress(archive.read_bytes())
    except FileNotFoundError:
        raise InputProblem(
            f"neither {stem} nor {stem}.gz is in {folder}; put all four idx files there"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputProblem(
            f"{path} cannot be read ({type(error).__name__}); replace it by a fresh copy"
        ) from error


def _assemble(contents: dict[str, bytes], folder: Path, name: str) -> Split:
    train, test = (_decode(contents, folder, name, part, *stems) for part, stems in _FILES.items())
    return Split(train, test)


def _decode(
    contents: dict[str, bytes], folder: Path, name: str, part: str, images: str, labels: str
) -> Dataset:
    pixels = _parse_idx(contents[images], folder / images, _IMAGE)
    classes = _parse_idx(contents[labels], folder / labels, ())
    if len(pixels) != len(classes):
        raise InputProblem(
            f"{folder} has {len(pixels)} images in {images} but {len(classes)} labels in "
            f"{labels}; take both files from one data set"
        )
    if not (classes.max() < _CLASSES):
        raise InputProblem(
            f"{folder / labels} has the label {classes.max()}; labels from 0 to {_CLASSES - 1} "
            "are needed: replace it by a fresh copy"
        )
    inputs = pixels.reshape(len(pixels), -1, 1).astype(np.float32)
    inputs /= 255
    return Dataset(inputs, classes.astype(np.int32), name, part)


def _parse_idx(data: bytes, path: Path, item: tuple[int, ...]) -> UInt8[np.ndarray, "b ..."]:
    """The array in an idx file: two zero bytes, type 8 (unsigned bytes), rank, sizes, entries."""
    rank = 1 + len(item)
    magic, start = 0x800 + rank, 4 + 4 * rank
    if len(data) < start:
        raise InputProblem(
            f"{path} has {len(data)} bytes, less than the {start} of an idx header; replace it by "
            "a fresh copy"
        )
    found, count, *sizes = struct.unpack(f">{1 + rank}I", data[:start])
    if found != magic:
        raise InputProblem(
            f"{path} starts with the magic number {found}; an idx file of rank {rank} needs "
            f"{magic}: see whether images and labels were exchanged"
        )
    if tuple(sizes) != item or count == 0:
        raise InputProblem(
            f"{path} holds {count} items of shape {tuple(sizes)}; at least one of shape {item} is "
            "needed: use MNIST's layout"
        )
    if len(data) != start + count * math.prod(item):
        raise InputProblem(
            f"{path} has {len(data)} bytes, but its header announces "
            f"{start + count * math.prod(item)}; replace it by a fresh copy"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(count, *item)
