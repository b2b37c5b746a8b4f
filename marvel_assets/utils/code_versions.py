"""Code versions of assets, computed from the code that decides their content."""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SQL_SPACE = re.compile(r"('[^']*')|\s+")


def code_version(*modules: str) -> str:
    """A hash of modules of this package and of all modules of it that they import, also in functions.

    Comments, docstrings, layout and imports for type checkers don't change it.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        if (module := waiting.pop()) not in found:
            found[module], imported = _read(_file_of(module))
            waiting += [name for name in imported if name.startswith("marvel_assets") and _file_of(name).exists()]
    return hashlib.sha256("\n".join(f"{name}\n{found[name]}" for name in sorted(found)).encode()).hexdigest()[:12]


def sql_version(*statements: str) -> str:
    """A hash of SQL statements; their layout doesn't change it."""
    plain = [SQL_SPACE.sub(lambda found: found[1] or " ", statement).strip() for statement in statements]
    return hashlib.sha256("\n".join(plain).encode()).hexdigest()[:12]


def make_cache_key(*parts: object) -> str:
    """A hash of everything that decides an asset's content: equal keys, equal content."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:32]


def _file_of(module: str) -> Path:
    folder = ROOT.joinpath(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def _read(file: Path) -> tuple[str, list[str]]:
    """A module's code, and the names that it imports."""
    code = _WhatRuns().visit(ast.parse(file.read_text(encoding="utf-8")))
    imported = []
    for node in ast.walk(code):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            imported += [name for alias in node.names for name in (module or alias.name, f"{module}.{alias.name}")]
    return ast.unparse(code), imported


class _WhatRuns(ast.NodeTransformer):
    """Removes docstrings, and code for type checkers."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)
