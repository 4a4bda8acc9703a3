"""Thin: parse, call, print."""

from ._main import main as main
