"""Exponents of twenty chaotic flows against the table of dysts 0.96.

Formulas, parameters, starts and exponents are those of the package (arXiv 2110.05266), whose
table comes from short runs: longer ones differ from it by up to 0.36 of the first exponent (E of
Sprott) and give 0 where it has 0.03 (Lorenz). Two facts are sharper. The exponents sum to the mean
divergence, which for most of these flows is a constant; and one exponent of a flow is zero. For
Sprott's flows the largest exponents of Phys. Rev. E 50 (1994) R647 are known to three digits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from limitset.analysis import RungeKutta4, lyapunov_spectrum
from limitset.dynamics import AbstractFlow

Formula = Callable[[Array, Array, Array], tuple[Array, ...]]


class Flow(AbstractFlow):
    """A flow in three dimensions from its formula."""

    formula: Formula

    @property
    def state_size(self) -> int:
        return 3

    @property
    def input_size(self) -> int:
        return 0

    def velocity(self, t, x, u):
        del t, u
        return jnp.stack([jnp.asarray(part, x.dtype) for part in self.formula(*x)])


@dataclass(frozen=True)
class Row:
    """A formula, its start and dominant period, the table's exponents, and sharper knowledge."""

    formula: Formula
    start: tuple[float, ...]
    period: float
    table: tuple[float, ...]
    divergence: float | None = None
    largest: float | None = None


ROWS = {
    "Lorenz": Row(
        lambda x, y, z: (10 * (y - x), 28 * x - x * z - y, x * y - 2.667 * z),
        (-9.7869, -15.0385, 20.534), 1.5008, (1.09109, 0.02994, -14.91555), -13.667, 0.9056,
    ),
    "Rossler": Row(
        lambda x, y, z: (-y - z, x + 0.2 * y, 0.2 + z * x - 5.7 * z),
        (6.5134, 0.4772, 0.3416), 5.9086, (0.07633, 0.00752, -5.74102), None, 0.0714,
    ),
    "ChenLee": Row(
        lambda x, y, z: (5 * x - y * z, -10 * y + x * z, -0.38 * z + x * y / 3),
        (0.1718, 0.1036, 6.2554), 2.8043, (0.16461, 0.00018, -5.48533), -5.38,
    ),
    "Arneodo": Row(
        lambda x, y, z: (y, z, 5.5 * x - 4.5 * y - z - x**3),
        (-2.7516, 0.1908, 3.4704), 3.1641, (0.24286, -0.00062, -1.21698), -1.0,
    ),
    "Rucklidge": Row(
        lambda x, y, z: (-2 * x + 6.7 * y - y * z, x, -z + y**2),
        (1.9257, 3.1924, 5.783), 6.0721, (0.18286, -0.00391, -3.21513), -3.0,
    ),
    "Halvorsen": Row(
        lambda x, y, z: (
            -1.4 * x - 4 * y - 4 * z - y**2,
            -1.4 * y - 4 * z - 4 * x - z**2,
            -1.4 * z - 4 * x - 4 * y - x**2,
        ),
        (-8.6807, -2.4741, 0.0708), 1.4889, (0.5862, -0.03195, -4.68763), -4.2,
    ),
    "ShimizuMorioka": Row(
        lambda x, y, z: (y, x - 0.85 * y - x * z, -0.5 * z + x**2),
        (0.0168, 0.0349, 0.3535), 12.038, (0.04403, -1e-05, -1.40999), -1.35,
    ),
    "BurkeShaw": Row(
        lambda x, y, z: (-10 * x - 10 * y, y - 10 * x * z, 10 * x * y + 13),
        (-0.7915, 0.6524, 0.2252), 0.78333, (2.34536, 0.02706, -11.22532), -9.0,
    ),
    "VallisElNino": Row(
        lambda x, y, z: (102 * y - 3 * x, -y + x * z, -z - x * y + 1),
        (-6.9929, 0.0233, -0.1658), 2.2087, (0.65616, 0.02269, -5.63327), -5.0,
    ),
    "Dadras": Row(
        lambda x, y, z: (y - 3 * x + 2.7 * y * z, 1.7 * y - x * z + z, 2 * x * y - 9 * z),
        (1.0284, -3.5349, -0.7208), 3.2886, (0.47344, 0.00646, -11.15773), -10.3,
    ),
    "Chen": Row(
        lambda x, y, z: (35 * (y - x), -7 * x - x * z + 28 * y, x * y - 3 * z),
        (3.269, 5.299, 19.4353), 0.58689, (2.04712, -0.05031, -11.84182), -10.0,
    ),
    "RikitakeDynamo": Row(
        lambda x, y, z: (-x + y * z, -y - x + x * z, 1 - x * y),
        (-0.7792, -0.6302, 2.6712), 5.8975, (0.14571, 0.00072, -2.1744), -2.0,
    ),
    "SprottB": Row(
        lambda x, y, z: (y * z, x - y, 1 - x * y),
        (1.6878, 1.4848, -0.5371), 11.05, (0.21988, 0.00519, -1.21458), -1.0, 0.210,
    ),
    "SprottC": Row(
        lambda x, y, z: (y * z, x - y, 1 - x**2),
        (-0.472, -0.272, 1.9418), 8.8852, (0.17898, -0.00073, -1.16446), -1.0, 0.163,
    ),
    "SprottD": Row(
        lambda x, y, z: (-y, x + z, x * z + 3 * y**2),
        (-1.3397, -0.2124, 0.3298), 4.8333, (0.11415, 0.00179, -1.46019), None, 0.103,
    ),
    "SprottE": Row(
        lambda x, y, z: (y * z, x**2 - y, 1 - 4 * x),
        (0.6174, 0.666, -1.6575), 7.6275, (0.09834, -0.00031, -1.09538), -1.0, 0.078,
    ),
    "SprottF": Row(
        lambda x, y, z: (y + z, -x + 0.5 * y, x**2 - z),
        (-0.9894, -1.4192, 0.858), 19.244, (0.13246, 0.01927, -0.60301), -0.5, 0.117,
    ),
    "SprottH": Row(
        lambda x, y, z: (-y + z**2, x + 0.5 * y, x - z),
        (-1.36, 0.6259, -1.2788), 20.229, (0.13872, 0.0035, -0.58891), -0.5, 0.117,
    ),
    "SprottR": Row(
        lambda x, y, z: (0.9 - y, 0.4 + z, x * y - z),
        (-1.6915, -1.9784, 1.9808), 7.0133, (0.07608, 0.00137, -1.0784), -1.0, 0.062,
    ),
    "SprottS": Row(
        lambda x, y, z: (-x - 4 * y, x + z**2, 1 + x),
        (0.1264, 0.1226, 1.2215), 3.3505, (0.21493, 0.00302, -1.19453), -1.0, 0.188,
    ),
}  # fmt: skip


def test_the_table_has_twenty_rows():
    assert len(ROWS) == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_exponents_of_the_table(name):
    row = ROWS[name]
    step = min(row.period / 400, 0.02)
    found = lyapunov_spectrum(
        Flow(row.formula),
        jnp.array(row.start),
        steps=150_000,
        transient=20_000,
        integrator=RungeKutta4(step),
    )
    assert found.converged
    errors = found.standard_errors
    assert abs(found.exponents[1]) < 4 * errors[1] + 1e-3
    if row.divergence is not None:
        assert abs(found.exponents.sum() - row.divergence) < 1e-4
    if row.largest is not None:
        assert abs(found.exponents[0] - row.largest) < 4 * errors[0] + 1e-3
    # What the table is good for.
    assert np.isclose(found.exponents[0], row.table[0], rtol=0.4, atol=4 * errors[0])
    assert np.isclose(found.exponents[2], row.table[2], rtol=0.2)
