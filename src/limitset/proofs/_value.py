"""The values that rules work on, and what a rule says when it has no answer.

Operands and results are of three kinds. *Known* arrays (NumPy: integers, booleans, and constants
not yet lifted) are exact. *Enclosures* belong to an arithmetic. `Truth` is a boolean array, some of
whose entries may be undecided.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Shaped

from limitset.proofs._arithmetic import AbstractArithmetic

Entries = Shaped[np.ndarray, "..."]
Machine = AbstractArithmetic[Any]
Params = Mapping[str, Any]
Rule = Callable[..., Any]


class UnsupportedPrimitive(ValueError):
    """A function that cannot be enclosed: the message names the primitive and a way out."""


class Undecided(ArithmeticError):
    """A branch or a domain that is not certain for all members; smaller balls may pass."""


@dataclass(frozen=True)
class Truth:
    """Entries that hold for all members (`yes`), for none (`no`), or are undecided (neither)."""

    yes: Bool[np.ndarray, "..."]
    no: Bool[np.ndarray, "..."]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of both masks."""
        return self.yes.shape


def registrar(rules: dict[str, Rule]) -> Callable[..., Callable[[Rule], Rule]]:
    """A decorator that enters a rule under the names of its primitives."""

    def names(*primitives: str) -> Callable[[Rule], Rule]:
        def register(rule: Rule) -> Rule:
            rules.update(dict.fromkeys(primitives, rule))
            return rule

        return register

    return names


def is_known(value: object) -> bool:
    """Whether a value is an exact NumPy array, not an enclosure of any arithmetic."""
    return isinstance(value, np.ndarray) and value.dtype != object


def widen(constant: object) -> Entries:
    """A constant as NumPy array; floats narrower than float64 are widened, which is exact."""
    array = np.asarray(constant)
    if array.dtype != np.float64 and jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(np.float64)
    return array


def lift(machine: Machine, value: Any) -> Any:
    """An enclosure of known floats; enclosures stay as they are."""
    if isinstance(value, Truth) or (is_known(value) and value.dtype.kind != "f"):
        raise UnsupportedPrimitive("truth values or integers are used as floats; convert them.")
    return machine.admit(value) if is_known(value) else value


def move(machine: Machine, rearrange: Callable[..., Entries], *values: Any) -> Any:
    """Entries of values of any kind moved by a NumPy function."""
    if all(is_known(v) for v in values):
        return np.asarray(rearrange(*values))
    if any(isinstance(v, Truth) for v in values):
        truths = [as_truth(v) for v in values]
        yes, no = rearrange(*(v.yes for v in truths)), rearrange(*(v.no for v in truths))
        return Truth(np.asarray(yes), np.asarray(no))
    return machine.move(rearrange, *(lift(machine, v) for v in values))


def as_truth(value: Any) -> Truth:
    if isinstance(value, Truth):
        return value
    if is_known(value) and value.dtype == bool:
        return Truth(value, ~value)
    raise UnsupportedPrimitive("Numbers and truth values are mixed; convert with `where`.")


def decided(truth: Truth) -> Any:
    return truth.yes if (truth.yes | truth.no).all() else truth


def certain(value: Any, what: str) -> Entries:
    """The value, if it is an exact array of integers or booleans."""
    if not (is_known(value) and value.dtype.kind in "iub"):
        raise Undecided(f"{what} is not certain for all members; use smaller balls.")
    return value
