"""What the repository must hold, and what must never get into it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from source_tree import ROOT

REQUIRED = [
    ".ci/run",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "docs/architecture.md",
    "docs/glossary.md",
    "mkdocs.yml",
    "pyproject.toml",
]

SKIPPED = {
    ".git", ".hypothesis", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__", "build",
    "dist", "limitset-demo", "site",
}  # fmt: skip

FOLDERS = {".ci", "benchmarks", "docs", "examples", "src", "tests"}

# Brackets keep this file from containing what it forbids.
MACHINE_PATH = re.compile(
    r"(^|[^\w.\-/])/(w[o]rk|r[o]ot|h[o]me|U[s]ers|m[n]t|o[p]t)/|[A-Z]:\\+U[s]ers|\.\./sh[a]red",
    re.MULTILINE,
)
REGISTRY_HOST = re.compile(
    r"pyp[i]\.org|pythonh[o]sted|registry\.np[m]js|deb\.deb[i]an|index-u[r]l|find-l[i]nks"
)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_nothing_that_a_command_wrote_is_committed():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {Path(name).parts[0] for name in done.stdout.splitlines() if "/" in name} == FOLDERS


def text_files() -> list[Path]:
    """Files that belong to the repository. Walks instead of asking git: an archive has no git."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if SKIPPED.isdisjoint(parts) and not parts[0].endswith(".egg-info") and path.is_file():
            found.append(path)
    return [path for path in found if b"\0" not in path.read_bytes()[:4096]]


def occurrences(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_file_is_present(name: str):
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_no_paths_of_one_machine():
    assert occurrences(MACHINE_PATH) == []


def test_no_registry_addresses():
    """A mirror or an offline copy must do: where packages come from is the user's business."""
    assert occurrences(REGISTRY_HOST) == []


@pytest.mark.parametrize("line", ["see /w{}rk/x", "'/h{}me/me/a'", "`/r{}ot/.cache`"])
def test_machine_paths_are_recognised(line: str):
    assert MACHINE_PATH.search(line.format("o"))


@pytest.mark.parametrize("line", ["~/.cache/limitset", "docs/work/x", "tests/home/page"])
def test_relative_paths_are_not(line: str):
    assert not MACHINE_PATH.search(line)


def test_changelog_has_the_current_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(project['version'])}\b", changelog, re.MULTILINE)


def test_constraints_are_exact_versions():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins == sorted(pins, key=str.lower)
    assert [pin for pin in pins if not re.fullmatch(r"[\w.\-]+==[\w.!+]+", pin)] == []


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["test"], *extras["dev"], *extras["docs"]]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    names = [re.split(r"[\[<>=~!; ]", requirement)[0].lower() for requirement in needed]
    assert [name for name in names if not re.search(rf"^{re.escape(name)}==", pins, re.M)] == []
