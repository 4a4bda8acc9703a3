"""Certificates that rest on that of a flow: what is said of the flow is proved, or nothing is."""

import copy
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from limitset.contraction import Certificate, EulerStep, Implicit, SingularValue, certify
from limitset.dynamics import BackwardEuler, ExplicitEuler, discretise
from limitset.io._certificate import certificate_document
from limitset.networks import RateNetwork

from .forgery import Document, accepts, refused, sealed

FLOW = ("witness", "flow")


def document_of(kind: str) -> Document:
    weight = jnp.array([[0.25, -0.5], [0.5, -0.25]])
    # In float32 the constants of an explicit step are not those of the formula.
    network = RateNetwork(weight if kind == "backward_euler" else weight.astype(jnp.float32))
    scheme = BackwardEuler(0.5) if kind == "backward_euler" else ExplicitEuler(0.1)
    theorem = (Implicit if kind == "backward_euler" else EulerStep)((SingularValue(),))
    answer = certify(discretise(network, scheme), theorems=(theorem,), input_bound=None)
    assert isinstance(answer, Certificate) and answer.theorem == kind
    return certificate_document(answer)


def edited(document: Document, place: tuple[str, ...], value: Any) -> Document:
    other = copy.deepcopy(document)
    inner = other
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return other


def scaled(document: Document, place: tuple[str, ...], factor: float) -> Document:
    value = document
    for key in place:
        value = value[key]
    assert isinstance(value, str)
    return edited(document, place, (float.fromhex(value) * factor).hex())


@pytest.mark.parametrize("kind", ["backward_euler", "euler_step"])
def test_the_flow_is_proved_first(kind: str, tmp_path: Path):
    honest = document_of(kind)
    assert accepts(tmp_path / "honest.json", sealed(honest))
    rate = (*FLOW, "claim", "rate")
    refused(scaled(honest, rate, 1.01), tmp_path, "does not follow from its bound")
    refused(scaled(honest, rate, -1.0), tmp_path, "no rate > 0")
    weaker = scaled(honest, rate, 0.99)
    refused(weaker, tmp_path, "does not follow from the flow's rate")
    assert accepts(tmp_path / "weaker.json", sealed(scaled(weaker, ("claim", "factor"), 1.005)))
    refused(scaled(honest, ("claim", "factor"), 1 - 1e-9), tmp_path, "from the flow's rate")
    discrete = {"time": "discrete", "factor": (0.5).hex()}
    refused(edited(honest, (*FLOW, "claim"), discrete), tmp_path, "exactly the keys")


@pytest.mark.parametrize("kind", ["backward_euler", "euler_step"])
def test_no_map_stands_in_for_the_flow(kind: str, tmp_path: Path):
    """A theorem about maps inside one about maps would never end at a flow."""
    honest = document_of(kind)
    for name in ("backward_euler", "euler_step"):
        inner = {"theorem": name, "claim": honest["claim"], "witness": honest["witness"]}
        refused(edited(honest, FLOW, inner), tmp_path, "the theorem is for maps")
    refused(edited(honest, ("theorem",), "singular_value"), tmp_path, "")
    other = {"backward_euler": "euler_step", "euler_step": "backward_euler"}[kind]
    refused(edited(honest, ("theorem",), other), tmp_path, "")


def test_the_step_of_an_implicit_map_is_the_stored_one(tmp_path: Path):
    """The scheme's words say where it came from; a longer stored step is another network."""
    honest = document_of("backward_euler")
    config = ("network", "config", "discretisation")
    assert accepts(tmp_path / "words.json", sealed(edited(honest, (*config, "step"), 0.75)))
    refused(edited(honest, (*config, "step"), 0), tmp_path, "the stored step is missing")
    refused(edited(honest, (*config, "scheme"), "explicit_euler"), tmp_path, "tensors are not")
    short = copy.deepcopy(honest)
    short["network"]["tensors"]["step"] |= {"data": "AAAAAAAA0D8="}
    refused(short, tmp_path, "does not follow from the flow's rate")
    for data in ("AAAAAAAAAAA=", "AAAAAAAA4L8="):
        short["network"]["tensors"]["step"] |= {"data": data}
        refused(short, tmp_path, "a positive step")


def test_every_norm_of_an_explicit_step_is_proved(tmp_path: Path):
    honest = document_of("euler_step")
    names = ("linear", "entering", "leaving", "drift", "slip")
    for index, name in enumerate(names):
        norms = list(honest["witness"]["norms"])
        norms[index] = (0.9 * float.fromhex(norms[index])).hex()
        other = edited(honest, ("witness", "norms"), norms)
        refused(other, tmp_path, f"the norm {name} is not established")
        norms[index] = (-float.fromhex(norms[index])).hex()
        other = edited(honest, ("witness", "norms"), norms)
        refused(other, tmp_path, f"the norm {name} is not established")
    few = honest["witness"]["norms"][:4]
    refused(edited(honest, ("witness", "norms"), few), tmp_path, "five norms")
    for factor in (0.5, 2.0, -1.0, 0.0):
        refused(scaled(honest, ("witness", "step"), factor), tmp_path, "")
