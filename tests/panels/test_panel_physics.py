"""What panels show, as numbers: simulations on the side of theory, within stated tolerances."""

import numpy as np
import pytest

from limitset.panels import PANELS, Effort

pytestmark = pytest.mark.slow


def test_gating_16_inputs_make_chaos_or_end_it():
    """At output gain 30 a constant input turns the exponent positive; without gates it does not."""
    found = PANELS["transition"].compute(Effort(400, 1, 100.0), None, None)
    theory = found["theory"]
    gated, plain = theory.sel(output_gain=30.0), theory.sel(output_gain=0.0)
    assert float(gated.max()) > 0.05 and float(gated.isel(input_curve=0)) < 0
    assert float(plain.max()) < 0
    measured = found["exponent"].isel(seed=0)
    strong = measured.sel(output_gain=30.0, input_variance=slice(0.005, 0.2))
    assert (strong > 0.03).all() and float(measured.sel(output_gain=0.0).max()) < 0
    # From small starts silence lasts longer than chaos does from large ones.
    loop = found.isel(seed=0)
    inside = loop["gain"].where((loop["gain"] > 1.84) & (loop["gain"] < 1.99), drop=True)
    assert (loop["falling"].sel(gain=inside) > 0.02).all()
    assert (loop["rising"].sel(gain=inside) < 0.005).all()


def test_gating_14_steep_gates_hold_states_below_the_marginal_gain_only():
    """Slow modes tend to a half, the edge vanishes, and `K f1` is below 1 where runs freeze."""
    found = PANELS["marginal"].compute(Effort(600, 2, 500.0), None, None)
    steep = found.sel(update_gain=100.0).mean("seed")
    assert float(steep["slow"]) == pytest.approx(0.486, abs=0.05)
    assert float(steep["edge"]) < 0.02 < float(found["edge"].sel(update_gain=5.0).mean())
    slow = found["theory_slow"].interp(curve=found["update_gain"])
    assert np.abs(found["slow"].mean("seed") - slow).max() < 0.06
    # Beyond the marginal gain, 3.27, a run may still end where `K f1` happens to fall to 1.
    still = found["speed"] < 1e-4
    assert still.sel(gain=[1.5, 2.0, 2.5]).all() and not still.sel(gain=[4.0, 5.0]).all()
    assert float(found["open_number"].where(still).max()) < 1.05
    assert float(found["open_number"].where(~still).min()) > 1.0


def test_gating_21_gates_flatten_spectra_and_raise_dimensions():
    """Update gates pile exponents up at zero; output gates raise the dimension."""
    found = PANELS["exponents"].compute(Effort(100, 1, 150.0), None, None).isel(seed=0)
    near, dimension = found["near_zero"], found["dimension"]
    assert (near.sel(update_gain=20.0) > near.sel(update_gain=0.0) + 0.15).all()
    gated = dimension.sel(output_gain=[10.0, 20.0, 30.0])
    assert (gated > dimension.sel(output_gain=0.0)).all()
    assert (dimension.sel(update_gain=20.0) > dimension.sel(update_gain=0.0)).all()
    theory = found["theory"].interp(curve=found["output_gain"])
    gap = (found["large_exponent"] / theory - 1).sel(output_gain=[10.0, 20.0, 30.0])
    assert np.abs(gap).max() < 0.15


def test_eigenvalues_are_where_theory_has_them():
    """At least 99 % of the eigenvalues inside the margin, at chaotic states and in cells."""
    effort = Effort(400, 1, 100.0)
    assert (PANELS["spectra"].compute(effort, None, None)["outside"] <= 0.01).all()
    assert (PANELS["cells"].compute(effort, None, None)["outside"] <= 0.01).all()
