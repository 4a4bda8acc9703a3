"""What the repository's own rules read: the source files of limitset as syntax trees."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "limitset"

SOURCES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@functools.cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of one source file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """`limitset.networks._rate` for `src/limitset/networks/_rate.py`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def show(path: Path) -> str:
    """The path as a failure message and a test id show it."""
    return path.relative_to(PACKAGE).as_posix()


def imported_modules(path: Path) -> list[tuple[int, str]]:
    """Line and absolute dotted name of every import, those inside functions included.

    `from . import x` names `x`'s own module, since `x` may be a sibling file.
    """
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            dotted = [*base, *(node.module.split(".") if node.module else [])]
            if node.module and dotted != ["limitset"]:
                found.append((node.lineno, ".".join(dotted)))
            else:
                found += [(node.lineno, ".".join([*dotted, alias.name])) for alias in node.names]
    return found


def public_names(path: Path) -> list[str]:
    """Names that an `__init__.py` re-exports as `from ... import X as X`, or defines itself.

    Those under `if TYPE_CHECKING` count: that is how limitset's own lazy names are declared.
    """
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            names |= {a.name for a in node.names if a.asname == a.name}
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return sorted(name for name in names if not name.startswith("_"))
