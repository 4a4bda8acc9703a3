"""A careful forger's pen: certificates with one field changed and their digest computed again."""

import base64
import copy
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from limitset.checker import Unusable, check

Document = dict[str, Any]
Path_ = tuple[str | int, ...]


def spelled(document: Document) -> bytes:
    """The canonical file of a document as it is."""
    return (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()


def sealed(document: Document) -> bytes:
    """The file with its digest computed again: a careful forger's work."""
    body = {key: value for key, value in document.items() if key != "digest"}
    digest = hashlib.sha256(spelled(body)).hexdigest()
    return spelled({**body, "digest": f"sha256:{digest}"})


def accepts(path: Path, content: bytes | None = None) -> bool:
    """Whether the checker accepts; unusable files are not accepted either."""
    if content is not None:
        # A new file each time: file systems may wait for the disk where an old one is cut to 0.
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    try:
        verdict = check(path)
    except Unusable as problem:
        assert "\n" not in str(problem)
        return False
    assert "\n" not in verdict.reason and verdict.reason
    return verdict.accepted


def claim_holds(document: Document, jacobians: Iterable[np.ndarray]) -> bool:
    """Whether the claim of contraction holds for these Jacobians, up to float64 rounding."""
    metric = document["metric"]
    M = tensor(metric["matrix"]) if "matrix" in metric else np.diag(tensor(metric["scale"]) ** 2)
    root = np.linalg.cholesky(M).T
    inverse = np.linalg.inv(root)
    claim = document["claim"]
    for jacobian in jacobians:
        whitened = root @ jacobian @ inverse
        if claim["time"] == "continuous":
            growth = np.linalg.eigvalsh((whitened + whitened.T) / 2)[-1]
            if not (growth <= -float.fromhex(claim["rate"]) + 1e-12 and growth < 0):
                return False
        elif not np.linalg.norm(whitened, 2) <= min(float.fromhex(claim["factor"]) + 1e-12, 1.0):
            return False
    return True


def walk(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Paths of all values, containers included."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from walk(value[key], (*path, key))


def at(document: Any, path: Path_) -> Any:
    for key in path:
        document = document[key]
    return document


def changed(document: Document, path: Path_, value: Any) -> Document:
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return document


WORDS = ["", "x", "tanh", "relu", "sigmoid", "softplus", "identity", "silu", "hopfield"]
WORDS += ["firing_rate", "rate", "elman", "assembly", "module_0", "explicit_euler", "semi_implicit"]
WORDS += ["exponential_euler", "absolute_value", "singular_value", "vertices", "skew_feedback"]
WORDS += ["continuous", "discrete", "float32", "float64", "diagonal", "quadratic", "sampled"]
WORDS += ["contraction", "equilibrium", "hopf", "all_hopf", "krawczyk", "pure_class", "above"]
WORDS += ["fold", "pitchfork", "flip", "neimark_sacker", "cycle", "branch", "all_equilibria"]
WORDS += ["shooting", "search", "uniform_krawczyk", "sector", "bias", "origin"]
WORDS += ["diagonal_recurrence", "stack", "diagonal_linear", "cascade", "block_maximum"]
WORDS += ["below", "gain", "shift", "direction", "stable", "unstable", "undecided"]
WORDS += ["composition", "small_gain", "composite", "block", "block_maximum"]


def other_values(value: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Forgeries of one leaf: small, large, of another type, and words used elsewhere."""
    yield from (None, 0, -1, True, [], {}, "nan", "inf", "0x0.0p+0")
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        # Where a word of the format stands, all others; elsewhere a few.
        named = value in WORDS and not value.startswith("float")
        yield from WORDS if named else rng.choice(WORDS, 5).tolist()
        yield from (value.upper(), value + " ", value[:-1])
        try:
            number = float.fromhex(value)
        except ValueError:
            return
        yield str(number)
        for factor in (1 - 2.0**-50, 1 + 2.0**-50, 0.999, 1.001, 0.5, 2.0, -1.0, 1e-300, 1e300):
            yield (number * factor).hex()
    elif isinstance(value, int | float):
        yield from (value + 1, value * 1.001, value * 0.999, -value, 1e400, str(value), 1e-300)
    elif value is None:
        zero = (0.0).hex()
        keys = ("activation_error", "gap", "input_bound", "rounding", "state_radius")
        yield {"scheme": "explicit_euler", "step": 0.5}
        yield {**dict.fromkeys(keys, zero), "state_radius": (1.0).hex()}


def other_data(text: str, dtype: str, rng: np.random.Generator) -> Iterator[str]:
    """Base64 of tensors with one number changed, by a bit, by its sign, by a lot."""
    array = np.frombuffer(base64.b64decode(text), np.dtype(dtype)).copy()
    for index in rng.permutation(len(array))[:4]:
        for change in ("bit", "sign", "double", "nudge", "nan"):
            other = array.copy()
            if change == "bit":
                bits = other.view(np.uint32 if dtype == "float32" else np.uint64)
                bits[index] ^= 1
            else:
                factors = {"sign": -1.0, "double": 2.0, "nudge": 1.01, "nan": np.nan}
                other[index] *= factors[change]
            yield base64.b64encode(other.tobytes()).decode()


def forgeries(original: Document, rng: np.random.Generator) -> Iterator[tuple[Path_, Document]]:
    for place in walk(original):
        value = at(original, place)
        if isinstance(value, dict | list) or place == ("digest",):
            continue
        if place[-1] == "data":
            dtype = at(original, place[:-1])["dtype"]
            values = itertools.chain(other_data(value, dtype, rng), other_values(value, rng))
        else:
            values = other_values(value, rng)
        for other in values:
            if type(other) is not type(value) or other != value:
                yield place, changed(original, place, other)


def resized(original: Document) -> Iterator[tuple[Path_, Document]]:
    """Each field dropped, and one added to each container, at every level."""
    for place in walk(original):
        value = at(original, place)
        if place and place != ("digest",):
            without = copy.deepcopy(original)
            del at(without, place[:-1])[place[-1]]
            yield place, without
        if isinstance(value, dict | list):
            more = copy.deepcopy(original)
            inner = at(more, place)
            if isinstance(inner, dict):
                inner["zzz"] = 1
            else:
                inner.append(copy.deepcopy(value[-1]) if value else 1)
            yield place, more


def refused(document: Document, folder: Path, reason: str) -> None:
    """A forger's file is refused for this reason, and its claim is not told as proved."""
    path = folder / "lie.json"
    path.write_bytes(sealed(document))
    verdict = check(path)
    assert not verdict.accepted and reason in verdict.reason, verdict
    assert "[not proved]" in verdict.claim or not verdict.claim


def tensor(entry: Document) -> np.ndarray:
    raw = base64.b64decode(entry["data"])
    return np.frombuffer(raw, entry["dtype"]).reshape(entry["shape"]).astype(np.float64)


def entry(array: np.ndarray) -> Document:
    """A float64 tensor as the format writes it."""
    exact = np.ascontiguousarray(array, "<f8")
    data = base64.b64encode(exact.tobytes()).decode()
    return {"dtype": "float64", "shape": list(exact.shape), "data": data}
