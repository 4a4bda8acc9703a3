"""A system -> fixed points, exponents, branches, bifurcation candidates: floating point, labelled as such."""  # noqa: E501

from limitset.analysis._bifurcation import HopfCandidate as HopfCandidate
from limitset.analysis._bifurcation import find_hopf_points as find_hopf_points
from limitset.analysis._bifurcation import hopf_points_of as hopf_points_of
from limitset.analysis._bifurcation import polish_hopf_point as polish_hopf_point
from limitset.analysis._continuation import Branch as Branch
from limitset.analysis._continuation import continue_equilibria as continue_equilibria
from limitset.analysis._cycles import CycleCandidate as CycleCandidate
from limitset.analysis._cycles import find_cycle as find_cycle
from limitset.analysis._cycles import find_cycles as find_cycles
from limitset.analysis._fixed_points import find_equilibria as find_equilibria
from limitset.analysis._folds import FoldCandidate as FoldCandidate
from limitset.analysis._folds import find_folds as find_folds
from limitset.analysis._folds import folds_of as folds_of
from limitset.analysis._folds import polish_fold as polish_fold
from limitset.analysis._hopf_cycle import cycle_near_hopf as cycle_near_hopf
