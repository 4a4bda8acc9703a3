"""Answers of commands for other programs."""

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def print_json(answer: dict[str, Any]) -> None:
    """One object, one line, on standard output."""
    print(json.dumps(answer, allow_nan=False))
