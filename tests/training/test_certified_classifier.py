"""Classifiers trained for radii: what is certified withstands attacks, what is not, falls."""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import ProjectedGradient, attack
from limitset.contraction import NetworkCertificate, certified_radii, certify_network
from limitset.dynamics import run_network
from limitset.networks import DeepNetwork
from limitset.training import (
    CertifiedClassifier,
    DeepClassifier,
    DeepRecipe,
    DeepSettings,
    RadiusLoss,
    as_images,
    build_deep,
    certified_classifier,
    find_image_task,
    fit_deep,
    images_of,
    load_digits_sequences,
)

Norm = Literal["euclidean", "maximum"]
NORMS: tuple[Norm, ...] = ("euclidean", "maximum")
DIGITS = as_images(load_digits_sequences())
OFFSETS = {"euclidean": 0.5, "maximum": 0.05}


def gain(network: DeepNetwork, norm: Norm) -> float:
    answer = certify_network(network)
    assert isinstance(answer, NetworkCertificate)
    return answer.euclidean_gain if norm == "euclidean" else answer.maximum_gain


def trained(norm: Norm) -> CertifiedClassifier:
    model = certified_classifier(
        jax.random.key(0), pixels=64, classes=10, norm=norm, units=16, layers=1
    )
    recipe = DeepRecipe(
        epochs=8, batch_size=96, optimiser="muon" if norm == "euclidean" else "adam",
        learning_rate=0.02, schedule="cosine",
    )  # fmt: skip
    loss = RadiusLoss(OFFSETS[norm], OFFSETS[norm] / 4)
    found = fit_deep(model, DIGITS.train, recipe, loss=loss).model
    assert isinstance(found, CertifiedClassifier)
    return found


@pytest.fixture(scope="module")
def networks() -> dict[str, DeepNetwork]:
    return {norm: trained(norm).explicit() for norm in NORMS}


@pytest.mark.parametrize("norm", NORMS)
def test_training_keeps_the_gain_and_finds_radii(norm: Norm, networks: dict[str, DeepNetwork]):
    assert gain(networks[norm], norm) < 1.0001
    certificate = certify_network(networks[norm])
    assert isinstance(certificate, NetworkCertificate)
    found = certified_radii(certificate, images_of(DIGITS.test), norm)
    right = found.classes == DIGITS.test.labels
    assert right.mean() > 0.8
    assert (right & (found.radii > OFFSETS[norm] / 4)).mean() > 0.6


@pytest.mark.parametrize("norm", NORMS)
def test_an_attack_finds_nothing_inside_certified_radii(
    norm: Norm, networks: dict[str, DeepNetwork]
):
    """At each image's own radius. At a few times that, most fall: the attack is not idle."""
    network, images = networks[norm], images_of(DIGITS.test)[:60]
    certificate = certify_network(network)
    assert isinstance(certificate, NetworkCertificate)
    found = certified_radii(certificate, images, norm)
    scores = jax.tree_util.Partial(run_network, network)
    method = ProjectedGradient(steps=30, starts=2)
    shares = []
    for times in (0.999, 4.0):
        radius = times * found.radii
        fell = attack(
            scores, images, found.classes, radius, key=jax.random.key(0), norm=norm, method=method
        )
        shares.append(fell.succeeded[found.radii > 0].mean())
    assert shares[0] == 0
    assert shares[1] > 0.5


def test_a_radius_claimed_too_large_is_refuted():
    """A linear network, where the certificate is sharp: 1 % beyond it, the attack succeeds."""
    model = certified_classifier(jax.random.key(1), pixels=6, classes=2, units=6, layers=1)
    network = model.explicit()
    stage = network.stages[0]
    still = eqx.tree_at(lambda b: b.layers.operator.matrix, stage.block, replace_fn=jnp.zeros_like)
    network = DeepNetwork((dataclasses.replace(stage, block=still),), network.readout)
    certificate = certify_network(network)
    assert isinstance(certificate, NetworkCertificate)
    images = np.random.default_rng(0).uniform(0.4, 0.6, (20, 6)).astype(np.float32)
    found = certified_radii(certificate, images, "euclidean")
    for times, expected in ((0.999, False), (1.01, True)):
        fell = attack(
            jax.tree_util.Partial(run_network, network), images, found.classes,
            times * found.radii, key=jax.random.key(0), box=None,
            method=ProjectedGradient(steps=40, starts=1),
        )  # fmt: skip
        assert (fell.succeeded == expected).all()


def test_settings_of_the_loss_are_part_of_a_run():
    """A checkpoint of another offset belongs to another run: its words differ."""
    assert repr(RadiusLoss(0.5, 0.1)) != repr(RadiusLoss(0.6, 0.1))


@pytest.mark.parametrize(
    "wrong", [{"units": 0}, {"layers": 0}, {"pixels": 0}, {"classes": 1}, {"norm": "l3"}]
)
@pytest.mark.usefixtures("untyped")
def test_refuses_sizes_and_norms_that_are_none(wrong: dict):
    sizes: dict[str, Any] = {"pixels": 4, "classes": 2, "units": 3, "layers": 1, **wrong}
    with pytest.raises(InputProblem, match="came|give|use one of"):
        certified_classifier(jax.random.key(0), **sizes)


def test_radii_need_a_classifier_of_known_gain():
    model = build_deep(find_image_task("nais_digits"), DeepSettings(width=8, depth=2))
    assert isinstance(model, DeepClassifier)
    with pytest.raises(InputProblem, match="CertifiedClassifier"):
        RadiusLoss(0.5, 0.1)(model, jnp.zeros((1, 64), jnp.float32), jnp.array([0]))
    with pytest.raises(InputProblem, match="offset"):
        RadiusLoss(-0.5, 0.1)
