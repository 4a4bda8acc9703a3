"""How shapes are checked in tests."""

from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype for all functions but inner ones.

    Those are defined anew at every call of the outer ones, and to check them anew each time took a
    sixth of the suite's time.
    """
    return function if "<locals>" in function.__qualname__ else beartype(function)
