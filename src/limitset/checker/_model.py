"""The model folder that a certificate speaks of: the same network, bit for bit."""

import hashlib
import os
from pathlib import Path
from typing import Any

from limitset.checker._document import NotProved, Unusable, read_bytes, read_object, require
from limitset.checker._network import Network

_FILES = ("config.json", "model.safetensors")
_DTYPES = {"float32": "F32", "float64": "F64"}


def find_model(path: str | os.PathLike[str]) -> Path | None:
    """The folder of `FOLDER/certificates/path`, if a model lies in it."""
    parent = Path(os.path.abspath(path)).parent
    is_model = any(os.path.lexists(parent.parent / name) for name in _FILES)
    return parent.parent if is_model and parent.name == "certificates" else None


def compare_model(folder: Path, document: dict[str, Any], network: Network) -> None:
    """Refuse unless configuration and tensors of the model are those of the certificate."""
    try:
        settings, weights = (read_bytes(folder / name) for name in _FILES)
        config = read_object(settings, _FILES[0], "limitset-model/1")
        start = 8 + int.from_bytes(weights[:8], "little")
        header = read_object(weights[8:start], _FILES[1])
    except Unusable as error:
        raise NotProved(f"the model cannot be compared: {error}") from error
    ignored = ["format", "about", "metric"]
    if config.get("kind") != "deep":  # of which the readout is a part
        ignored.append("readout")
    expected = _complete({key: value for key, value in config.items() if key not in ignored})
    require(
        expected == document["network"]["config"],
        "the model's config.json is not the certificate's configuration",
    )
    for name, tensor in network.tensors.items():
        part, entry = name.rpartition(".")[2], header.get(name)
        if isinstance(entry, dict) and isinstance(offsets := entry.get("data_offsets"), list):
            named = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape)}
            same = entry == {**named, "data_offsets": offsets} and len(offsets) == 2
            same = same and all(type(offset) is int and offset >= 0 for offset in offsets)
            same = same and weights[start + offsets[0] : start + offsets[1]] == tensor.raw
        else:
            unused = part.startswith("bias") and not any(tensor.values)
            same = entry is None and (unused or part == "input_weight" and not tensor.raw)
        require(same, f"tensor {name} of the model is not that of the certificate")
    if document["model"] is not None:
        sums = [hashlib.sha256(content).hexdigest() for content in (settings, weights)]
        stated = [document["model"][key] for key in ("config_sha256", "weights_sha256")]
        require(sums == stated, "the model's files are not those that the certificate names")


def _complete(config: Any) -> Any:
    """The configuration with the key that may be left out, `discretisation`, in its parts too."""
    if not isinstance(config, dict):
        return config
    filled = dict(config)
    if config.get("kind") in ("rate", "assembly", "composite"):
        filled.setdefault("discretisation", None)
    if config.get("kind") == "composite" and isinstance(config.get("parts"), list):
        filled["parts"] = [_complete(part) for part in config["parts"]]
    return filled
