"""One digit, a ball of images around it that keep its class, a file that proves it, an attack."""

import jax
import numpy as np

from limitset import check
from limitset.analysis import attack
from limitset.contraction import NetworkCertificate, certified_radii, certify_network
from limitset.dynamics import run_network
from limitset.io import write_radius
from limitset.training import (
    DeepRecipe,
    RadiusLoss,
    as_images,
    certified_classifier,
    fit_deep,
    images_of,
    load_digits_sequences,
)

digits = as_images(load_digits_sequences())
model = certified_classifier(jax.random.key(0), pixels=64, classes=10, units=32, layers=2)
recipe = DeepRecipe(8, 64, "muon", learning_rate=0.03, schedule="cosine")
fitted = fit_deep(model, digits.train, recipe, loss=RadiusLoss(offset=0.5, temperature=0.1))
network = fitted.model.finished(images_of(digits.train))

certificate = certify_network(network)
assert isinstance(certificate, NetworkCertificate), certificate.reason
images, labels = images_of(digits.test), digits.test.labels
found = certified_radii(certificate, images, "euclidean")
for radius in (0.0, 0.25, 0.5):
    certified = np.mean((found.classes == labels) & (found.radii > radius))
    tried = attack(
        jax.tree_util.Partial(run_network, network), images, labels, radius, key=jax.random.key(1)
    )
    print(f"radius {radius}: {certified:.3f} certified, {tried.accuracy:.3f} withstood an attack")
verdict = check(write_radius(certificate, images[0], "radius.json"))
assert verdict.accepted, verdict.reason
print("claim:", verdict.claim)
