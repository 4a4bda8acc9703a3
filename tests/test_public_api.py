"""The public names are a promise: pinned here, documented, and listed on an API page.

After a deliberate change run

    .venv/bin/python tests/test_public_api.py

which writes tests/public_api.txt, adds the missing entries to docs/api/, and takes out those that
are gone. A removed or renamed name also needs a line in CHANGELOG.md.
"""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from source_tree import FOLDERS, PACKAGE, ROOT, public_names

PINNED = Path(__file__).with_name("public_api.txt")
API_PAGES = ROOT / "docs" / "api"
# An entry of a name, as an instruction to mkdocstrings or, on the index page, as a list item.
LISTED = re.compile(r"^(?:\n::: |- `)(limitset(?:\.\w+){1,2})`?\n", re.MULTILINE)
MODULES = ["limitset", *(f"limitset.{folder}" for folder in FOLDERS)]


def names_of(module: str) -> list[str]:
    return public_names(PACKAGE.joinpath(*module.split(".")[1:]) / "__init__.py")


def api_entries() -> list[str]:
    """Every public name as `module.name`, sorted."""
    return sorted(f"{module}.{name}" for module in MODULES for name in names_of(module))


def page_of(entry: str) -> Path:
    """The API page of `limitset.folder.name`; limitset's own names point at their folder's page."""
    folder = entry.split(".")[1]
    return API_PAGES / (f"{folder}.md" if folder in FOLDERS else "index.md")


def is_mentioned(entry: str) -> bool:
    page = page_of(entry)
    name = re.escape(entry.rsplit(".", 1)[1])
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return re.search(rf"(?<![\w]){name}(?![\w])", text) is not None


def test_public_names_are_pinned():
    assert PINNED.read_text(encoding="utf-8").splitlines() == api_entries()


@pytest.mark.parametrize("module", MODULES)
def test_public_names_exist_and_are_documented(module: str):
    loaded = importlib.import_module(module)
    for name in names_of(module):
        value = getattr(loaded, name)
        assert name in dir(loaded)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert (value.__doc__ or "").strip(), f"{module}.{name} has no docstring"


def test_everyday_names_come_from_one_folder_each():
    """A name of `limitset` is the very object that its folder exports."""
    everyday = importlib.import_module("limitset")
    open_names = {"Evidence", "InputProblem"}
    for name in set(names_of("limitset")) - open_names:
        homes = [f for f in FOLDERS if name in names_of(f"limitset.{f}")]
        assert homes, f"limitset.{name} is exported by no folder"
        for folder in homes:
            home = importlib.import_module(f"limitset.{folder}")
            assert getattr(everyday, name) is getattr(home, name)


def test_every_public_name_is_on_its_api_page():
    assert [entry for entry in api_entries() if not is_mentioned(entry)] == []


@pytest.mark.parametrize("page", sorted(API_PAGES.glob("*.md")), ids=lambda p: p.name)
def test_api_pages_name_nothing_that_is_gone(page: Path):
    text = page.read_text(encoding="utf-8")
    assert [entry for entry in LISTED.findall(text) if entry not in api_entries()] == []


def without_gone_entries(text: str) -> str:
    """The page's text less the entries of names that are no longer public."""

    def keep(match: re.Match[str]) -> str:
        return match[0] if match[1] in api_entries() else ""

    return LISTED.sub(keep, text)


def write() -> None:
    """Pin the present names, and bring the entries of docs/api/ in line with them."""
    PINNED.write_text("".join(f"{entry}\n" for entry in api_entries()), encoding="utf-8")
    for page in API_PAGES.glob("*.md"):
        text = without_gone_entries(page.read_text(encoding="utf-8"))
        page.write_text(text, encoding="utf-8")
    for entry in api_entries():
        if not is_mentioned(entry):
            page = page_of(entry)
            line = f"- `{entry}`\n" if page.name == "index.md" else f"\n::: {entry}\n"
            page.write_text(page.read_text(encoding="utf-8") + line, encoding="utf-8")


if __name__ == "__main__":
    write()
