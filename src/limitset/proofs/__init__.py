"""Numbers from anywhere + a formula -> a theorem, or a refusal with its reason."""

from limitset.proofs._all_equilibria import AllEquilibria as AllEquilibria
from limitset.proofs._all_equilibria import prove_all_equilibria as prove_all_equilibria
from limitset.proofs._arithmetic import ArbArithmetic as ArbArithmetic
from limitset.proofs._ball import Ball as Ball
from limitset.proofs._ball import ball_sum as ball_sum
from limitset.proofs._ball import frobenius_upper as frobenius_upper
from limitset.proofs._ball import inf_norm_upper as inf_norm_upper
from limitset.proofs._ball import one_norm_upper as one_norm_upper
from limitset.proofs._complex import ComplexBall as ComplexBall
from limitset.proofs._complex import complex_inverse as complex_inverse
from limitset.proofs._complex import complex_solve as complex_solve
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
from limitset.proofs._nonnegative import (
    nonnegative_symmetric_eigenvalue_upper as nonnegative_symmetric_eigenvalue_upper,
)
from limitset.proofs._nonnegative import nonnegative_two_norm_upper as nonnegative_two_norm_upper
from limitset.proofs._pure_hopf import AllPureHopf as AllPureHopf
from limitset.proofs._pure_hopf import PureHopfPoints as PureHopfPoints
from limitset.proofs._pure_hopf import UndecidedHopf as UndecidedHopf
from limitset.proofs._pure_hopf import prove_all_hopf as prove_all_hopf
from limitset.proofs._refusal import Reason as Reason
from limitset.proofs._refusal import Refusal as Refusal
from limitset.proofs._selftest import UnsoundArithmetic as UnsoundArithmetic
from limitset.proofs._selftest import require_sound_arithmetic as require_sound_arithmetic
from limitset.proofs._spectrum import Spectrum as Spectrum
from limitset.proofs._spectrum import enclose_spectrum as enclose_spectrum
from limitset.proofs._value import Undecided as Undecided
from limitset.proofs._value import UnsupportedPrimitive as UnsupportedPrimitive
