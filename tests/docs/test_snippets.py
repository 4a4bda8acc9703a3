"""Every example that a reader may copy runs: the Markdown pages, the docstrings, the scripts."""

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import ROOT, SOURCES, module_name, parse

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMISED = re.compile(r"It prints `([^`]+)`")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("README.md")]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def blocks(page: Path) -> list[str]:
    """The page's Python blocks, each padded so that tracebacks show the page's line numbers."""
    text = page.read_text(encoding="utf-8")
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in BLOCK.finditer(text)]


def examples(path: Path) -> list[doctest.DocTest]:
    """The doctests of one source file.

    Read from the syntax tree, not with `doctest.DocTestFinder`, which overlooks methods that
    Equinox has wrapped.
    """
    module = importlib.import_module(module_name(path))
    found = []
    for node in [parse(path), *ast.walk(parse(path))][1:]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            name = getattr(node, "name", path.stem)
            line = 0 if isinstance(node, ast.Module) else node.lineno
            globs = {**vars(module), "__name__": module.__name__}
            test = doctest.DocTestParser().get_doctest(text, globs, name, str(path), line)
            found += [test] if test.examples else []
    return found


def has_examples(path: Path) -> bool:
    return ">>> " in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_page_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """The blocks of a page run in order and share their names, in an empty folder.

    They print what the page says they do.
    """
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), namespace)
    printed = capsys.readouterr().out
    for promised in PROMISED.findall(page.read_text(encoding="utf-8")):
        assert promised in printed


@pytest.mark.parametrize("path", [p for p in SOURCES if has_examples(p)], ids=module_name)
def test_docstring_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failures: list[str] = []
    for test in examples(path):
        runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
        runner.run(test, out=failures.append)
    assert not failures, "".join(failures)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_runs(script: Path, tmp_path: Path):
    """In a process of its own and an empty folder, as a reader runs it; it ends with its claim."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].startswith("claim: ")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_short(script: Path):
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 40


def test_fences_use_plain_language_names():
    """`python`, `text` and so on, without attributes that only one site builder understands."""
    for page in PAGES:
        fences = re.findall(r"^ *```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert [f for f in fences if not re.fullmatch(r"\w*", f)] == [], page
