"""What settings of several experiments share: checks, and how rows say a spread over seeds."""

import xarray

from limitset._result import InputProblem


def check_range(name: str, given: int, least: int, most: int) -> None:
    """Refuse numbers outside `least` to `most`."""
    if not (isinstance(given, int) and least <= given <= most):
        raise InputProblem(f"{name} is {given!r}; give a whole number from {least} to {most}")


def check_word(name: str, given: str, known: tuple[str, ...]) -> None:
    """Refuse words that are not among those known."""
    if given not in known:
        raise InputProblem(f"{name} is {given!r}; use one of {', '.join(known)}")


def spread(values: xarray.DataArray, form: str) -> str:
    """Least, mean and most, over all that is known."""
    ends = (float(values.min()), float(values.mean()), float(values.max()))
    return " / ".join(format(value, form) for value in ends)
