"""Model folders: `config.json`, `model.safetensors`, `certificates/`, and a model card."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from limitset._result import InputProblem
from limitset.contraction import AbstractMetric, metric_size
from limitset.io._atomic import write_together
from limitset.io._describe import Stored, describe, rebuild
from limitset.io._describe_metric import describe_metric, take_metric
from limitset.io._entries import Config, Tensors, require_one_dtype
from limitset.networks import DeepNetwork, LinearReadout

FORMAT = "limitset-model/1"

# More than any network here can certify.
_LARGEST_WEIGHTS, _LARGEST_CONFIG = 4 * 2**30, 2**24


@dataclass(frozen=True)
class Model:
    """A system as it is stored, with what belongs to it; or a deep network, which has a readout.

    `metric` is a proposal for `certify`, never believed. `about` is informational: how the model
    was trained, what it scored.
    """

    system: Stored
    readout: LinearReadout | None = None
    metric: AbstractMetric | None = None
    about: dict[str, Any] = field(default_factory=dict)


def save(folder: str | Path, model: Model | Stored) -> Path:
    """Write a model folder; a bare system is saved without readout, metric and remarks.

    **Arguments:** `folder`, made if needed; files of the same names are replaced, whole.

    **Returns:** the folder.

    **Raises:** `InputProblem` if the system has no place in the format or the folder cannot be
    written.

    >>> import tempfile, jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save(folder, RateNetwork(jnp.zeros((2, 2))))
    ...     load(folder).system.state_size
    2
    """
    if not isinstance(model, Model):
        model = Model(model)
    folder = Path(folder)
    config, tensors = describe(model.system)
    require_one_dtype(tensors)
    _check_fit(model.system, model.readout, model.metric)
    config = {"format": FORMAT, **config}
    if model.about:
        config["about"] = model.about
    if model.readout is not None:
        config["readout"] = {"outputs": model.readout.bias.shape[0]}
        tensors["readout.weight"] = np.asarray(model.readout.weight)
        tensors["readout.bias"] = np.asarray(model.readout.bias)
    if model.metric is not None:
        entry, own = describe_metric(model.metric)
        tensors |= own
        if entry is not None:
            config["metric"] = entry
    try:
        text = json.dumps(config, indent=1, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputProblem(
            f"about cannot be stored as JSON ({error}); give text, finite numbers, lists and dicts"
        ) from None
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    # ascontiguousarray turns scalars into vectors of one entry.
    contiguous = {name: a.reshape(tensors[name].shape) for name, a in contiguous.items()}
    write_together(
        {
            folder / "model.safetensors": safetensors.numpy.save(contiguous),
            folder / "config.json": text.encode(),
            folder / "README.md": _card(config, tensors).encode(),
        }
    )
    return folder


def load(folder: str | Path) -> Model:
    """Read a model folder. Nothing is unpickled, and nothing unknown is ignored.

    **Raises:** `InputProblem`, one line: which file, what came, what is needed.
    """
    folder = Path(folder)
    # Unlike their Path twins, these answer False for names that the system refuses.
    if not os.path.isdir(folder):
        what = "a file" if os.path.exists(folder) else "nothing"
        raise InputProblem(
            f"{folder} is {what}; give a model folder with config.json and model.safetensors"
        )
    config = _read_config(folder / "config.json")
    tensors = _read_tensors(folder / "model.safetensors")
    if config.pop("format", None) != FORMAT:
        raise InputProblem(f"{folder / 'config.json'} has no format {FORMAT!r}; give such a model")
    about, metric_config = config.pop("about", {}), config.pop("metric", None)
    # The readout of a deep network is a part of it.
    belongs = config.get("kind") == "deep"
    try:
        if not isinstance(about, dict):
            raise InputProblem(f"about is {about!r}; give an object, or leave it out")
        readout = None if belongs else _take_readout(tensors, config.pop("readout", None))
        metric = take_metric(metric_config, tensors)
        system = rebuild(config, tensors)
        _check_fit(system, readout, metric)
    except InputProblem as problem:
        raise InputProblem(f"{folder}: {problem}") from None
    return Model(system, readout, metric, about)


def _read_config(path: Path) -> Config:
    _check_file(path, _LARGEST_CONFIG)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputProblem(f"{path} is not readable text; a JSON object is needed") from None
    try:
        config = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition
        )
    except (ValueError, RecursionError) as error:
        raise InputProblem(f"{path} is not valid JSON ({error}); repair it or save again") from None
    if not isinstance(config, dict):
        raise InputProblem(f"{path} holds {type(config).__name__}, not an object; save it again")
    return config


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that a model may hold")


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> Config:
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"a key comes twice among {', '.join(sorted(key for key, _ in pairs))}")
    return dict(pairs)


def _check_file(path: Path, largest: int) -> None:
    if not path.is_file():
        what = "no file" if path.exists() else "missing"
        raise InputProblem(f"{path} is {what}; a model folder needs it")
    if path.stat().st_size > largest:
        raise InputProblem(f"{path} has more than {largest} bytes; no model here is that large")


def _read_tensors(path: Path) -> Tensors:
    _check_file(path, _LARGEST_WEIGHTS)
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
    except AttributeError:
        # What safetensors raises for dtypes that NumPy does not have.
        reason = "a dtype is unknown to NumPy"
    raise InputProblem(
        f"{path} is not a complete safetensors file of float32 or float64 ({reason}); copy or save "
        "it again"
    )


def _take_readout(tensors: Tensors, config: object) -> LinearReadout | None:
    names = ("readout.weight", "readout.bias")
    present = [name in tensors for name in names]
    if config is None and not any(present):
        return None
    if config is None or not all(present):
        raise InputProblem(
            "a readout needs the key 'readout' in config.json and the tensors readout.weight and "
            "readout.bias; one of them is missing"
        )
    arrays = {name: tensors.pop(name) for name in names}
    require_one_dtype(arrays)
    weight, bias = (jnp.asarray(array) for array in arrays.values())
    if config != {"outputs": bias.size}:
        raise InputProblem(f"readout is {config!r}; {{'outputs': {bias.size}}} fits the tensors")
    return LinearReadout(weight, bias)


def _check_fit(
    system: Stored,
    readout: LinearReadout | None,
    metric: AbstractMetric | None,
) -> None:
    if isinstance(system, DeepNetwork):
        if readout is not None or metric is not None:
            raise InputProblem(
                "a deep network has its own readout, and no metric of states; leave them out"
            )
        return
    size = system.state_size
    if metric is not None and metric_size(metric) != size:
        raise InputProblem(
            f"the metric is for states of shape ({metric_size(metric)},); ({size},) is needed"
        )
    if readout is not None and readout.weight.shape[1] != size:
        raise InputProblem(
            f"readout.weight has shape {readout.weight.shape}; (outputs, {size}) is needed"
        )


def _card(config: Config, tensors: Tensors) -> str:
    count = sum(math.prod(t.shape) for t in tensors.values())
    lines = [
        f"# A `{config['kind']}` model",
        "",
        f"Written by limitset in format `{FORMAT}`: {len(tensors)} tensors, {count} numbers.",
        "",
        "- `limitset certify .` looks for the best contraction certificate.",
        "- `limitset check certificates/*.json` proves the stored ones again, independently.",
        "",
    ]
    return "\n".join(lines)
