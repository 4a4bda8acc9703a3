"""A system -> fixed points, exponents, branches, bifurcation candidates: floating point, labelled as such."""  # noqa: E501

from limitset.analysis._bifurcation import HopfCandidate as HopfCandidate
from limitset.analysis._bifurcation import find_hopf_points as find_hopf_points
from limitset.analysis._bifurcation import hopf_points_of as hopf_points_of
from limitset.analysis._bifurcation import polish_hopf_point as polish_hopf_point
from limitset.analysis._continuation import Branch as Branch
from limitset.analysis._continuation import continue_equilibria as continue_equilibria
from limitset.analysis._fixed_points import find_equilibria as find_equilibria
