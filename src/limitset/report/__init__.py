"""Stored results -> figures and one self-contained HTML page (plotting is imported only here)."""
