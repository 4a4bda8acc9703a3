"""Gated networks and published GRUs as model folders: round trips, refusals, `certify`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from command_line import write_model
from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction import Unknown, certify
from limitset.dynamics import BackwardEuler, ExplicitEuler, ExponentialEuler, discretise
from limitset.io import describe, load, rebuild, save
from limitset.networks import (
    ERF_PROBIT,
    TANH_LOGISTIC,
    GatedNetwork,
    GatedParameters,
    Nonlinearity,
    random_gated_network,
    random_reset_before_gru,
)

KEY = jax.random.key(2)


def network(dtype: Any = jnp.float64, **given: Any) -> GatedNetwork:
    plain = random_gated_network(KEY, 3, GatedParameters(**given), input_size=2, input_variance=0.5)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), plain)


CLOSED = {"gain": 0.1, "update_gain": 2.5, "output_gain": 1e3, "update_bias": -0.3}
TIMES = {"update_time": 0.7, "output_time": 1e-3}
SYSTEMS: dict[str, Callable[[], AbstractFlow | AbstractMap]] = {
    "flow": lambda: network(**CLOSED, **TIMES, state_bias=0.2, output_bias=1e-300),
    "float32": lambda: network(jnp.float32, **CLOSED, **TIMES),
    "twin": lambda: network(nonlinearity=ERF_PROBIT),
    "open": lambda: network(open_update=True, open_output=True),
    "exponential step": lambda: discretise(network(**CLOSED, **TIMES), ExponentialEuler(0.1)),
    "float32 step": lambda: discretise(network(jnp.float32, **CLOSED), ExponentialEuler(0.1)),
    "implicit step": lambda: discretise(network(**CLOSED), BackwardEuler(0.1)),
    "reset before": lambda: random_reset_before_gru(KEY, 3, 2),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_round_trip_bit_for_bit(tmp_path: Path, name: str):
    system = SYSTEMS[name]()
    stored = load(save(tmp_path / "model", system)).system
    assert type(stored) is type(system)
    assert jax.tree.structure(stored) == jax.tree.structure(system)
    for a, b in zip(jax.tree.leaves(stored), jax.tree.leaves(system), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert jax.tree.structure(rebuild(*describe(system))) == jax.tree.structure(system)


@pytest.mark.parametrize("name", SYSTEMS)
def test_certify_says_unknown(name: str):
    answer = certify(SYSTEMS[name]())
    assert isinstance(answer, Unknown)
    assert "no theorem speaks about" in answer.reason and "\n" not in answer.reason


def test_optional_tensors_may_be_left_out(tmp_path: Path):
    config, tensors = describe(network())
    needed = {name: tensors[name] for name in ("state_weight", "update_weight", "output_weight")}
    folder = write_model(tmp_path, {"format": "limitset-model/1", **config}, needed)
    stored = load(folder).system
    assert isinstance(stored, GatedNetwork)
    assert stored.input_size == 0 and not stored.state_input.any()


def altered(
    name: str, config: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None
) -> Callable[[], object]:
    """A description with some entries replaced, or left out where they are `None`."""

    def make() -> object:
        found, arrays = describe(SYSTEMS[name]())
        merged = {**found, **(config or {})}, {**arrays, **(tensors or {})}
        return rebuild(*({k: v for k, v in part.items() if v is not None} for part in merged))

    return make


PROBLEMS: dict[str, tuple[Callable[[], object], str]] = {
    "pair": (altered("flow", {"nonlinearity": "relu"}), "nonlinearity 'relu' is not known"),
    "missing": (altered("flow", {"gain": None}), "misses ['gain']"),
    "unknown": (altered("flow", {"grain": 1.0}), "unknown keys ['grain']"),
    "nan": (altered("flow", {"gain": float("nan")}), "gain is nan"),
    "word": (altered("flow", {"gain": "3"}), "gain is '3'"),
    "switch": (altered("flow", {"open_update": 0}), "open_update is 0"),
    "open with gain": (altered("open", {"update_gain": 1.0}), "leave update_gain out"),
    "time": (altered("flow", {"update_time": 0}), "positive time constant"),
    "rounded": (altered("float32", {"gain": 0.1}), "write that number"),
    "shape": (altered("flow", tensors={"update_weight": np.eye(2)}), "update_weight has shape"),
    "number": (altered("flow", tensors={"state_weight": np.float64(2)}), "n >= 1"),
    "input": (altered("flow", tensors={"output_input": np.ones(4)}), "output_input has shape"),
    "entries": (altered("flow", tensors={"state_weight": np.full((3, 3), np.nan)}), "NaN"),
    "tensor": (altered("flow", tensors={"step": np.float64(0.1)}), "unknown names ['step']"),
    "no step": (altered("exponential step", tensors={"step": None}), "miss ['step']"),
    "keep": (altered("exponential step", tensors={"update_keep": np.float64(1)}), "update_keep"),
    "still": (altered("exponential step", tensors={"step": np.float64(0)}), "tensor step"),
    "scheme": (
        altered("flow", {"discretisation": {"scheme": "cayley", "step": 0.1}}),
        "scheme 'cayley' is not known",
    ),
    "negative": (
        altered("flow", {"discretisation": {"scheme": "exponential_euler", "step": -1}}),
        "step is -1",
    ),
    "keys": (altered("flow", {"discretisation": {"scheme": "cayley"}}), "exactly the keys"),
    "gru key": (altered("reset before", {"activation": "tanh"}), "unknown keys"),
    "gru name": (altered("reset before", tensors={"bias": None}), "miss ['bias']"),
    "gru shape": (altered("reset before", tensors={"bias": np.ones(3)}), "(3n,)"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_does_not_fit_is_refused_in_one_line(name: str):
    make, part = PROBLEMS[name]
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(InputProblem) as caught:
            make()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_what_the_format_does_not_hold_is_refused(tmp_path: Path):
    with pytest.raises(InputProblem, match="EulerMap has no place"):
        save(tmp_path / "model", discretise(network(), ExplicitEuler(0.1)))
    impostor = Nonlinearity("tanh_logistic", jnp.sin, *([TANH_LOGISTIC.gate] * 4))
    with pytest.raises(InputProblem, match="stands for other functions"):
        save(tmp_path / "model", network(nonlinearity=impostor))
    assert not (tmp_path / "model").exists()
