import jax
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.experiments._images import resize_bilinear


@pytest.mark.parametrize(("old", "new"), [(28, 15), (8, 8), (8, 5), (5, 11), (3, 1), (1, 4)])
def test_organism_pitfall_images_are_resized_as_tensors_are(old: int, new: int):
    """PyTorch's rule for tensors, without the smoothing that Pillow adds."""
    images = np.random.default_rng(0).random((3, old * old))
    expected = jax.image.resize(
        images.reshape(3, old, old), (3, new, new), "linear", antialias=False
    )
    found = resize_bilinear(images, new)
    assert np.allclose(found, np.asarray(expected).reshape(3, -1), atol=1e-6)
    assert found.dtype == images.dtype


def test_planes_stay_planes():
    """Away from the border, bilinear interpolation keeps linear images linear."""
    row, column = np.indices((28, 28))
    small = resize_bilinear((2.0 * row + column).reshape(1, -1), 15).reshape(15, 15)
    assert np.allclose(np.diff(small, axis=0)[1:-1], 2 * 28 / 15)
    assert np.allclose(np.diff(small, axis=1)[:, 1:-1], 28 / 15)


def test_unusable_images():
    with pytest.raises(InputProblem, match="images have 12 pixels"):
        resize_bilinear(np.zeros((1, 12)), 3)
    with pytest.raises(InputProblem, match="side is 0"):
        resize_bilinear(np.zeros((1, 9)), 0)
