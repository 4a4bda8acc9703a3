"""How shapes are checked in tests."""

from collections.abc import Callable
from typing import Any

from beartype import beartype

from source_tree import SOURCES, module_name


def checked_modules() -> list[str]:
    """All modules but the arithmetic of balls.

    Its functions run millions of times and have tests of their own: to check their arguments took
    a fifth of the suite's time. A package's name would stand for all that is in it.
    """
    return [module_name(path) for path in SOURCES if path.stem not in ("__init__", "_ball")]


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype for all functions but inner ones.

    Those are defined anew at every call of the outer ones, and to check them anew each time took a
    sixth of the suite's time.
    """
    return function if "<locals>" in function.__qualname__ else beartype(function)
