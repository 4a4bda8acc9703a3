"""A system -> fixed points, exponents, branches, bifurcation candidates: floating point, labelled as such."""  # noqa: E501

from limitset.analysis._absorbing_box import absorbing_box as absorbing_box
from limitset.analysis._attack import Attacked as Attacked
from limitset.analysis._attack import BallNorm as BallNorm
from limitset.analysis._attack import ProjectedGradient as ProjectedGradient
from limitset.analysis._attack import attack as attack
from limitset.analysis._autocorrelation import Autocorrelation as Autocorrelation
from limitset.analysis._autocorrelation import autocorrelation as autocorrelation
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
from limitset.analysis._hysteresis import HysteresisSweep as HysteresisSweep
from limitset.analysis._hysteresis import activity as activity
from limitset.analysis._hysteresis import hysteresis_sweep as hysteresis_sweep
from limitset.analysis._lyapunov import finite_time_exponents as finite_time_exponents
from limitset.analysis._lyapunov import lyapunov_spectrum as lyapunov_spectrum
from limitset.analysis._memory_capacity import MemoryCapacity as MemoryCapacity
from limitset.analysis._memory_capacity import memory_capacity as memory_capacity
from limitset.analysis._multistep import AdamsBashforth4 as AdamsBashforth4
from limitset.analysis._multistep import AdamsMoulton4 as AdamsMoulton4
from limitset.analysis._orthonormalise import (
    AbstractOrthonormalisation as AbstractOrthonormalisation,
)
from limitset.analysis._orthonormalise import CholeskyQR as CholeskyQR
from limitset.analysis._orthonormalise import Householder as Householder
from limitset.analysis._spectrum import LyapunovSpectrum as LyapunovSpectrum
from limitset.analysis._spectrum import SpectrumVerdict as SpectrumVerdict
from limitset.analysis._stepping import stepping as stepping
from limitset.analysis._tangent_step import AbstractIntegrator as AbstractIntegrator
from limitset.analysis._tangent_step import EachStep as EachStep
from limitset.analysis._tangent_step import Euler as Euler
from limitset.analysis._tangent_step import RungeKutta4 as RungeKutta4
from limitset.analysis._twin import TwinExponent as TwinExponent
from limitset.analysis._twin import twin_exponent as twin_exponent
