"""What a theorem says when it does not apply: one of a closed list of reasons, with numbers."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Reason(enum.StrEnum):
    """Why a proof was refused. None of them says anything against the claim."""

    NEWTON_FAILED = "newton_failed"
    KRAWCZYK_NOT_CONTAINED = "krawczyk_not_contained"
    OMEGA_CONTAINS_ZERO = "omega_contains_zero"
    JACOBIAN_SINGULAR = "jacobian_singular"
    SPECTRUM_NOT_SEPARATED = "spectrum_not_separated"
    LYAPUNOV_SIGN_UNDECIDED = "lyapunov_sign_undecided"
    TRANSVERSALITY_UNDECIDED = "transversality_undecided"
    NOT_SYMMETRIC = "not_symmetric"
    SEARCH_NOT_FINISHED = "search_not_finished"
    NONFINITE = "nonfinite"
    UNSUPPORTED_PRIMITIVE = "unsupported_primitive"
    BRANCH_UNDECIDED = "branch_undecided"
    NOT_NEAR = "not_near"
    NOT_CONTRACTING = "not_contracting"


@dataclass(frozen=True)
class Refusal:
    """A proof that was not found: the reason, one line of explanation, and how close it came."""

    reason: Reason
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
