"""What tests of the command line and of model folders share."""

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

RATE: dict[str, Any] = {
    "format": "limitset-model/1",
    "kind": "rate",
    "form": "hopfield",
    "activation": "tanh",
    "leak": 1.0,
    "time_constant": 1.0,
}
CONTRACTING = np.array([[0.0, -0.5], [0.5, 0.0]])


class Reply(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON objects on standard output, one a line."""
        return [json.loads(line, parse_constant=refuse) for line in self.out.splitlines()]


def refuse(name: str) -> float:
    """Other programs read our JSON, and few of them know NaN."""
    raise ValueError(f"{name} is not JSON")


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every file below the folder with its content; folders have none."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def write_model(folder: Path, config: object, tensors: dict[str, np.ndarray]) -> Path:
    """A model folder as another program would write it; nothing is checked."""
    folder.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text, encoding="utf-8")
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def raw_safetensors(header: object, data: bytes = b"") -> bytes:
    """The bytes of a safetensors file whose header says anything at all."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
