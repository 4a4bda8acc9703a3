"""Metrics of every kind, as model folders and certificates spell them."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from limitset._result import InputProblem
from limitset.contraction import (
    AbstractMetric,
    BlockMaximumMetric,
    BlockMetric,
    DiagonalMetric,
    MaximumMetric,
    QuadraticMetric,
    SumMetric,
    metric_size,
)
from limitset.io._entries import Tensors, require_one_dtype

_PLAIN = {
    "diagonal": (DiagonalMetric, "scale"),
    "quadratic": (QuadraticMetric, "matrix"),
    "sum": (SumMetric, "scale"),
    "maximum": (MaximumMetric, "scale"),
}
_BLOCKS = {"block": BlockMetric, "block_maximum": BlockMaximumMetric}
_LARGEST_DEPTH = 16


def metric_entry(metric: AbstractMetric, tensor: Callable[[np.ndarray], Any]) -> dict[str, Any]:
    """The metric in one object, its arrays spelled by `tensor`.

    **Raises:** `InputProblem` for a kind of metric that has no place in the formats.
    """
    for kind, (known, name) in _PLAIN.items():
        if type(metric) is known:
            return {"kind": kind, name: tensor(np.asarray(getattr(metric, name), np.float64))}
    if isinstance(metric, BlockMetric | BlockMaximumMetric):
        kind = "block" if isinstance(metric, BlockMetric) else "block_maximum"
        parts = [metric_entry(part, tensor) for part in metric.parts]
        weights = tensor(np.asarray(metric.weights, np.float64))
        return {"kind": kind, "parts": parts, "weights": weights}
    raise InputProblem(f"metric {type(metric).__name__} has no place in the formats")


def describe_metric(metric: AbstractMetric) -> tuple[Any, Tensors]:
    """What stands in `config.json`, `None` for a diagonal metric, and the tensors."""
    if isinstance(metric, DiagonalMetric):
        return None, {"metric": np.asarray(metric.scale, np.float64)}
    tensors: Tensors = {}

    def name(array: np.ndarray) -> str:
        tensors[f"metric.{len(tensors)}"] = array
        return f"metric.{len(tensors) - 1}"

    return metric_entry(metric, name), tensors


def take_metric(config: Any, tensors: Tensors) -> AbstractMetric | None:
    """The metric of a model, if it has one; takes its tensors out of the others."""
    own = {n: tensors.pop(n) for n in list(tensors) if n == "metric" or n.startswith("metric.")}
    if config is None and not own:
        return None
    if config is None:
        config = {"kind": "diagonal", "scale": "metric"}
    metric = _rebuild(config, own, 1)
    if own:
        raise InputProblem(f"tensors {sorted(own)} belong to no part of the metric; leave them out")
    return metric


def _rebuild(config: Any, tensors: Tensors, depth: int) -> AbstractMetric:
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind in _PLAIN and set(config) == {"kind", _PLAIN[kind][1]}:
        known, name = _PLAIN[kind]
        array = _array(config[name], tensors)
        if name == "scale" and not ((array > 0) & np.isfinite(array)).all():
            raise InputProblem("the metric holds more than positive, finite numbers; leave it out")
        if not np.isfinite(array).all():
            raise InputProblem("the metric holds more than finite numbers; leave it out")
        return known(jnp.asarray(array))
    if kind not in _BLOCKS or set(config) != {"kind", "parts", "weights"} or depth > _LARGEST_DEPTH:
        raise InputProblem(f"metric {kind!r} is not known, or has other keys; see the model format")
    if not isinstance(config["parts"], list):
        raise InputProblem("the parts of a metric are no list; give one object each")
    parts = [_rebuild(part, tensors, depth + 1) for part in config["parts"]]
    sizes = tuple(metric_size(part) or 0 for part in parts)
    weights = jnp.asarray(_array(config["weights"], tensors))
    return _BLOCKS[kind](tuple(parts), sizes, weights)


def _array(name: Any, tensors: Tensors) -> np.ndarray:
    """The tensor of that name, in NumPy, which unlike JAX does not flush the smallest numbers."""
    if not isinstance(name, str) or name not in tensors:
        raise InputProblem(f"the metric names the tensor {name!r}, which is missing")
    array = tensors.pop(name)
    require_one_dtype({name: array})
    return array.astype(np.float64)
