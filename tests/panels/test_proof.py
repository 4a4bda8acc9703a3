"""What is proved of one network, in the figure with the theory."""

import pytest

from limitset.panels import Effort, compute_proof


@pytest.mark.slow
def test_hopf_points_of_a_gated_network_are_proved():
    found = compute_proof(Effort(14, 1, 5.0))
    assert found.sizes["hopf"] == 2 and found.attrs["undecided"] == 0
    assert (found["hopf_radius"] < 1e-9).all()
    assert found.attrs["decays_below"] < found.attrs["birth_gain"]
