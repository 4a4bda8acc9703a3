"""From bytes to a certificate's fields, strictly: what is not understood is refused."""

import base64
import hashlib
import json
import math
import os
import struct
from typing import Any, NamedTuple

FORMAT = "limitset-certificate/1"
MAX_BYTES = 512 * 2**20
_LAYOUTS = {"float32": ("f", 4), "float64": ("d", 8)}
# Statement -> the keys of its certificates, beside those that all of them have.
_COMMON = "format statement theorem claim network model prover digest"
_KEYS = {
    "contraction": "region metric witness float32",
    "equilibrium": "witness",
    "hopf": "family witness",
    "all_hopf": "",
    "fold": "family witness",
    "pitchfork": "family witness",
    "flip": "family witness",
    "neimark_sacker": "family witness",
    "all_equilibria": "witness",
    "cycle": "",
    "branch": "family witness",
    "replicator": "",
    "collapse": "",
    "fixed_point": "witness",
    "positional_replicators": "witness",
    "block": "metric witness",
    "network": "witness",
    "radius": "witness",
}


class Unusable(ValueError):
    """The input is no certificate: what came, what is needed, what to do, in one line."""


class NotProved(ValueError):
    """The certificate can be read, but its claim is not established; the reason in one line."""


class TooMuchWork(ValueError):
    """The claim may be true, but is not checked; more precision would not help."""


class Tensor(NamedTuple):
    """Exact stored floats, row by row, and the little-endian bytes they came in."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes
    values: tuple[float, ...]


def require(condition: bool, reason: str) -> None:
    """Go on only if the condition certainly holds; a comparison with NaN never does."""
    if not condition:
        raise NotProved(reason)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes, at most `MAX_BYTES`."""
    name = ascii(os.fspath(path))
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Unusable(f"{name} cannot be read ({why}); give the path of a file") from error
    if len(raw) > MAX_BYTES:
        raise Unusable(f"{name} exceeds the limit of {MAX_BYTES >> 20} MiB; give a smaller file")
    return raw


def read_object(raw: bytes, name: str, kind: str | None = None) -> dict[str, Any]:
    """A JSON object that names its format. What repeats a key is left to `check_form`."""
    try:
        value = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{name} is not JSON ({error}); give a complete JSON object") from error
    if not isinstance(value, dict) or value.get("format") != kind:
        raise Unusable(f"{name} is no JSON object of the format {kind!r}; give one that is")
    return value


def check_form(raw: bytes, document: dict[str, Any]) -> None:
    """The digest, the fixed words, and the one accepted spelling: no key twice, no odd numbers."""

    def spell(value: dict[str, Any]) -> bytes:
        return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()

    require(spell(document) == raw, "the file is not in canonical form, or has a key twice")
    statement = document.get("statement")
    region = "all states and inputs" if statement == "contraction" else None
    known = statement in tuple(_KEYS) and document.get("region") == region
    require(known, "the statement or its region is unknown")
    keys = f"{_COMMON} {_KEYS[str(statement)]}".strip()
    model, prover, digest = take(document, keys)[5:8]
    body = spell({key: value for key, value in document.items() if key != "digest"})
    seal = "sha256:" + hashlib.sha256(body).hexdigest()
    require(digest == seal, "the digest does not match: the file was altered")
    sums = [] if model is None else take(model, "config_sha256 weights_sha256")
    words = sums + take(prover, "library numpy python blas")
    short = all(isinstance(word, str) and len(word) <= 200 for word in words)
    fits = short and all(len(w) == 64 and set(w) <= set("0123456789abcdef") for w in sums)
    require(fits, "prover or model is malformed")


def take(value: Any, keys: str) -> list[Any]:
    """The values of an object with exactly these keys, in this order."""
    fits = isinstance(value, dict) and set(value) == set(keys.split())
    require(fits, f"an object needs exactly the keys {keys.replace(' ', ', ')}")
    return [value[key] for key in keys.split()]


def take_list(value: Any) -> list[Any]:
    """A list of moderate length."""
    require(isinstance(value, list) and len(value) <= 4096, "a list is missing or too long")
    return value


def take_number(value: Any) -> float:
    """A finite JSON number that a float64 holds exactly."""
    whole = type(value) is int and abs(value) <= 2**53
    require(whole or type(value) is float and math.isfinite(value), "a number is not finite")
    return float(value)


def take_real(value: Any) -> float:
    """A finite float in C99 hexadecimal, spelled as Python writes it."""
    number = float.fromhex(value) if isinstance(value, str) else math.nan
    require(math.isfinite(number) and number.hex() == value, "a hexadecimal number is malformed")
    return number


def take_tensor(value: Any, axes: int = 2) -> Tensor:
    """A tensor with finite entries, of at most so many axes.

    Its length is compared before anything is decoded.
    """
    dtype, shape, data = take(value, "dtype shape data")
    sizes = all(type(size) is int and 0 <= size < 2**32 for size in take_list(shape))
    require(sizes and len(shape) <= axes and dtype in tuple(_LAYOUTS), "a tensor is malformed")
    (code, width), count = _LAYOUTS[dtype], math.prod(shape)
    fits = isinstance(data, str) and len(data) == (count * width + 2) // 3 * 4
    raw = base64.b64decode(data, validate=True) if fits else b""
    # Encoding again excludes spare bits in the last character: one tensor, one spelling.
    fits = fits and len(raw) == count * width and base64.b64encode(raw).decode() == data
    require(fits, "a tensor's data do not fit its shape, or are not canonical base64")
    values = struct.unpack(f"<{count}{code}", raw)
    require(all(map(math.isfinite, values)), "a tensor has entries that are not finite")
    return Tensor(dtype, tuple(shape), raw, values)
