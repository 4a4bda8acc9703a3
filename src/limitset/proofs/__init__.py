"""Numbers from anywhere + a formula -> a theorem, or a refusal with its reason."""

from limitset.proofs._ball import Ball as Ball
from limitset.proofs._ball import ball_sum as ball_sum
from limitset.proofs._ball import frobenius_upper as frobenius_upper
from limitset.proofs._ball import inf_norm_upper as inf_norm_upper
from limitset.proofs._ball import one_norm_upper as one_norm_upper
from limitset.proofs._elementary import exp as exp
from limitset.proofs._elementary import logistic as logistic
from limitset.proofs._elementary import logistic_slope as logistic_slope
from limitset.proofs._elementary import tanh as tanh
from limitset.proofs._elementary import tanh_slope as tanh_slope
from limitset.proofs._instability import InstabilityWitness as InstabilityWitness
from limitset.proofs._instability import is_hurwitz_refuted as is_hurwitz_refuted
from limitset.proofs._instability import is_schur_refuted as is_schur_refuted
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
from limitset.proofs._selftest import UnsoundArithmetic as UnsoundArithmetic
from limitset.proofs._selftest import require_sound_arithmetic as require_sound_arithmetic
