"""Numbers from anywhere + a formula -> a theorem, or a refusal with its reason."""

from limitset.proofs._all_equilibria import AllEquilibria as AllEquilibria
from limitset.proofs._all_equilibria import SearchProgress as SearchProgress
from limitset.proofs._all_equilibria import prove_all_equilibria as prove_all_equilibria
from limitset.proofs._arithmetic import ArbArithmetic as ArbArithmetic
from limitset.proofs._ball import Ball as Ball
from limitset.proofs._ball import ball_sum as ball_sum
from limitset.proofs._ball import frobenius_upper as frobenius_upper
from limitset.proofs._ball import inf_norm_upper as inf_norm_upper
from limitset.proofs._ball import one_norm_upper as one_norm_upper
from limitset.proofs._branch import BranchEvent as BranchEvent
from limitset.proofs._branch import EventKind as EventKind
from limitset.proofs._branch import ProvedBranch as ProvedBranch
from limitset.proofs._branch import UndecidedPiece as UndecidedPiece
from limitset.proofs._branch import prove_branch as prove_branch
from limitset.proofs._collapse import CollapseBall as CollapseBall
from limitset.proofs._collapse import prove_collapse_ball as prove_collapse_ball
from limitset.proofs._complex import ComplexBall as ComplexBall
from limitset.proofs._complex import complex_inverse as complex_inverse
from limitset.proofs._complex import complex_solve as complex_solve
from limitset.proofs._convolution_matrix import convolution_matrix as convolution_matrix
from limitset.proofs._convolution_matrix import convolution_sources as convolution_sources
from limitset.proofs._convolution_norm import convolution_norm_upper as convolution_norm_upper
from limitset.proofs._convolution_norm import convolution_row_sums as convolution_row_sums
from limitset.proofs._convolution_norm import gershgorin_norm_upper as gershgorin_norm_upper
from limitset.proofs._cycle import Cycle as Cycle
from limitset.proofs._cycle import prove_cycle as prove_cycle
from limitset.proofs._decay_gain import decay_gain as decay_gain
from limitset.proofs._derivative import directional as directional
from limitset.proofs._derivative import jacobian as jacobian
from limitset.proofs._derivative import second_directional as second_directional
from limitset.proofs._derivative import third_directional as third_directional
from limitset.proofs._elementary import exp as exp
from limitset.proofs._elementary import logistic as logistic
from limitset.proofs._elementary import logistic_slope as logistic_slope
from limitset.proofs._elementary import tanh as tanh
from limitset.proofs._elementary import tanh_slope as tanh_slope
from limitset.proofs._enclose import enclose as enclose
from limitset.proofs._equilibrium import Equilibrium as Equilibrium
from limitset.proofs._equilibrium import Stability as Stability
from limitset.proofs._equilibrium import prove_equilibrium as prove_equilibrium
from limitset.proofs._equilibrium import prove_field_equilibrium as prove_field_equilibrium
from limitset.proofs._flip import Flip as Flip
from limitset.proofs._flip import prove_flip as prove_flip
from limitset.proofs._fold import Fold as Fold
from limitset.proofs._fold import prove_fold as prove_fold
from limitset.proofs._hopf import HopfPoint as HopfPoint
from limitset.proofs._hopf import prove_hopf as prove_hopf
from limitset.proofs._inertia import count_right as count_right
from limitset.proofs._instability import InstabilityWitness as InstabilityWitness
from limitset.proofs._instability import is_hurwitz_refuted as is_hurwitz_refuted
from limitset.proofs._instability import is_schur_refuted as is_schur_refuted
from limitset.proofs._krawczyk import ZeroEnclosure as ZeroEnclosure
from limitset.proofs._krawczyk import krawczyk as krawczyk
from limitset.proofs._linalg import NotVerified as NotVerified
from limitset.proofs._linalg import is_positive_definite as is_positive_definite
from limitset.proofs._linalg import largest_eigenvalue_upper as largest_eigenvalue_upper
from limitset.proofs._linalg import smallest_eigenvalue_lower as smallest_eigenvalue_lower
from limitset.proofs._linalg import two_norm_upper as two_norm_upper
from limitset.proofs._linalg import verified_inverse as verified_inverse
from limitset.proofs._linalg import verified_solve as verified_solve
from limitset.proofs._map_fixed_point import MapFixedPoint as MapFixedPoint
from limitset.proofs._map_fixed_point import prove_map_fixed_point as prove_map_fixed_point
from limitset.proofs._meanfield import AllMeanFieldRoots as AllMeanFieldRoots
from limitset.proofs._meanfield import MeanFieldRoot as MeanFieldRoot
from limitset.proofs._meanfield import MomentEnclosures as MomentEnclosures
from limitset.proofs._meanfield import StabilityNumber as StabilityNumber
from limitset.proofs._meanfield import enclose_moments as enclose_moments
from limitset.proofs._meanfield import enclose_stability_number as enclose_stability_number
from limitset.proofs._meanfield import prove_all_fixed_points as prove_all_fixed_points
from limitset.proofs._meanfield import prove_fixed_point as prove_fixed_point
from limitset.proofs._meanfield_boundaries import MarginalBoundary as MarginalBoundary
from limitset.proofs._meanfield_boundaries import MeanFieldBirth as MeanFieldBirth
from limitset.proofs._meanfield_boundaries import PhaseBoundary as PhaseBoundary
from limitset.proofs._meanfield_boundaries import ThresholdEnclosures as ThresholdEnclosures
from limitset.proofs._meanfield_boundaries import (
    enclose_output_gain_thresholds as enclose_output_gain_thresholds,
)
from limitset.proofs._meanfield_boundaries import prove_birth as prove_birth
from limitset.proofs._meanfield_boundaries import prove_marginal_boundary as prove_marginal_boundary
from limitset.proofs._meanfield_boundaries import prove_phase_boundary as prove_phase_boundary
from limitset.proofs._neimark_sacker import NeimarkSacker as NeimarkSacker
from limitset.proofs._neimark_sacker import prove_neimark_sacker as prove_neimark_sacker
from limitset.proofs._nonnegative import (
    nonnegative_symmetric_eigenvalue_upper as nonnegative_symmetric_eigenvalue_upper,
)
from limitset.proofs._nonnegative import nonnegative_two_norm_upper as nonnegative_two_norm_upper
from limitset.proofs._pitchfork import Pitchfork as Pitchfork
from limitset.proofs._pitchfork import prove_symmetric_pitchfork as prove_symmetric_pitchfork
from limitset.proofs._positional import AllPositionalReplicators as AllPositionalReplicators
from limitset.proofs._positional import PositionalReplicator as PositionalReplicator
from limitset.proofs._positional import (
    prove_all_positional_replicators as prove_all_positional_replicators,
)
from limitset.proofs._pure_hopf import AllPureHopf as AllPureHopf
from limitset.proofs._pure_hopf import PureHopfPoints as PureHopfPoints
from limitset.proofs._pure_hopf import UndecidedHopf as UndecidedHopf
from limitset.proofs._pure_hopf import prove_all_hopf as prove_all_hopf
from limitset.proofs._refine_hopf import refine_hopf as refine_hopf
from limitset.proofs._refusal import Reason as Reason
from limitset.proofs._refusal import Refusal as Refusal
from limitset.proofs._replicator import Replicator as Replicator
from limitset.proofs._replicator import TrainingModes as TrainingModes
from limitset.proofs._replicator import prove_replicator as prove_replicator
from limitset.proofs._replicator_batch import (
    bound_replicator_distances as bound_replicator_distances,
)
from limitset.proofs._selftest import UnsoundArithmetic as UnsoundArithmetic
from limitset.proofs._selftest import require_sound_arithmetic as require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum as Spectrum
from limitset.proofs._spectrum import enclose_spectrum as enclose_spectrum
from limitset.proofs._value import Undecided as Undecided
from limitset.proofs._value import UnsupportedPrimitive as UnsupportedPrimitive
