"""The shape of the source: abstract or final, short files, short functions, plain names."""

import ast
import re
from pathlib import Path

import pytest

from source_tree import FOLDERS, PACKAGE, SOURCES, parse, show

FILE_CEILING = 500
FUNCTION_CEILING = 120
USUAL_LENGTH = 40
USUAL_SHARE = 0.9

ABSTRACT_FIELDS = {"AbstractClassVar", "AbstractVar"}
VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|$)", re.IGNORECASE)
UNFINISHED = re.compile("NotImplementedError|" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]))


def last_name(node: ast.expr) -> str:
    """`Module` for `eqx.Module`, `AbstractVar` for `AbstractVar[int]`."""
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def all_classes() -> list[tuple[Path, ast.ClassDef]]:
    return [
        (path, node)
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
    ]


def all_functions() -> list[tuple[Path, ast.FunctionDef]]:
    return [
        (path, node)
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef)
    ]


def is_abstract(node: ast.ClassDef) -> bool:
    return node.name.lstrip("_").startswith("Abstract")


def has_abstract_members(node: ast.ClassDef) -> bool:
    decorated = any(
        last_name(decorator) == "abstractmethod"
        for child in node.body
        if isinstance(child, ast.FunctionDef)
        for decorator in child.decorator_list
    )
    return decorated or any(
        isinstance(child, ast.AnnAssign) and last_name(child.annotation) in ABSTRACT_FIELDS
        for child in node.body
    )


def body_length(node: ast.FunctionDef) -> int:
    """Lines from the first statement to the last; the signature and docstring do not count."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def test_no_subclass_of_a_concrete_class():
    concrete = {node.name for _, node in all_classes() if not is_abstract(node)}
    found = [
        f"{show(path)}:{node.lineno} {node.name}({last_name(base)})"
        for path, node in all_classes()
        for base in node.bases
        if last_name(base) in concrete
    ]
    assert found == [], "wrap the concrete class, or make a field of what varies"


def test_abstract_classes_say_so_in_their_name():
    found = [
        f"{show(path)}:{node.lineno} {node.name}"
        for path, node in all_classes()
        if has_abstract_members(node) and not is_abstract(node)
    ]
    assert found == []


def test_abstract_classes_hold_no_data():
    found = [
        f"{show(path)}:{child.lineno} {node.name}: {ast.unparse(child)}"
        for path, node in all_classes()
        if is_abstract(node)
        for child in node.body
        if isinstance(child, ast.AnnAssign | ast.Assign)
        and not (
            isinstance(child, ast.AnnAssign)
            and child.value is None
            and last_name(child.annotation) in ABSTRACT_FIELDS
        )
    ]
    assert found == [], "an interface holds no fields; declare AbstractVar, or an abstract property"


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_files_are_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_CEILING


def test_functions_are_short():
    lengths = {f"{show(p)}:{f.lineno} {f.name}": body_length(f) for p, f in all_functions()}
    assert {name: n for name, n in lengths.items() if n > FUNCTION_CEILING} == {}
    long = {name: n for name, n in lengths.items() if n > USUAL_LENGTH}
    assert len(long) <= (1 - USUAL_SHARE) * len(lengths), long


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_only_the_rim_prints(path: Path):
    if path.parent.name == "cli" or show(path) == "checker/__main__.py":
        return
    lines = [
        node.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and last_name(node.func) == "print"
    ]
    assert lines == []


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_names_are_not_vague(path: Path):
    defined = [
        node.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    names = [*defined, path.stem, path.parent.name]
    assert [name for name in names if VAGUE_NAMES.search(name)] == []


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_no_wildcard_imports(path: Path):
    imports = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    assert [n.lineno for n in imports if any(a.name == "*" for a in n.names)] == []


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_nothing_is_unfinished(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{i}: {line}" for i, line in enumerate(lines, 1) if UNFINISHED.search(line)] == []


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_no_assert_and_no_bare_exception(path: Path):
    """Asserts vanish under `python -O`, and a bare `Exception` tells the caller nothing."""
    for node in ast.walk(parse(path)):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            assert last_name(raised) != "Exception", f"bare Exception in line {node.lineno}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_inside_folders_are_private(folder: str):
    public = [p.name for p in (PACKAGE / folder).glob("*.py") if not p.name.startswith("_")]
    assert public == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_only_reexports(folder: str):
    """`__init__.py` is one sentence, the folder's contract, and `from ._x import Y as Y` lines."""
    path = PACKAGE / folder / "__init__.py"
    docstring = ast.get_docstring(parse(path))
    assert docstring and "\n\n" not in docstring
    for node in parse(path).body[1:]:
        explicit = isinstance(node, ast.ImportFrom) and all(a.asname == a.name for a in node.names)
        assert explicit, f"{show(path)}:{node.lineno} {ast.unparse(node)}"
