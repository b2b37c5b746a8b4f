"""Code versions of assets, computed from the code that decides their content."""

import hashlib
import marshal
import re
from functools import cache
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parent.parent.parent
FOR_TYPE_CHECKERS = re.compile(r"^if TYPE_CHECKING:\n(?: +.*\n|\n)+", re.MULTILINE)
SQL_SPACE = re.compile(r"('[^']*')|\s+")


def code_version(*modules: str) -> str:
    """A hash of modules of this package and of all modules of it that they import, also in functions.

    Comments, docstrings, layout and imports for type checkers don't change it; another minor version of Python does.
    """
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        if (module := waiting.pop()) not in found:
            found[module], imported = _read(_file_of(module))
            waiting += [name for name in imported if _file_of(name).exists()]
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + found[name])
    return digest.hexdigest()[:12]


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
def _read(file: Path) -> tuple[bytes, set[str]]:
    """A module's compiled code, five times as quick as its syntax tree, and what it imports of this package."""
    source = FOR_TYPE_CHECKERS.sub("", file.read_text(encoding="utf-8"))
    code = compile(source, file.name, "exec", dont_inherit=True, optimize=2)
    # Version 2 of the format is the last in which equal code always has equal bytes.
    return marshal.dumps(_without_lines(code), 2), set(_imported(code))


def _without_lines(code: CodeType) -> CodeType:
    # From Python 3.13 on, a class has the number of its first line as a constant.
    own_line = code.co_firstlineno if "__firstlineno__" in code.co_names else None
    constants = (each for each in code.co_consts if own_line is None or each != own_line)
    plain = tuple(_without_lines(each) if isinstance(each, CodeType) else each for each in constants)
    return code.replace(co_linetable=b"", co_firstlineno=1, co_filename="", co_consts=plain)


def _imported(code: CodeType) -> list[str]:
    modules = [name for name in code.co_names if name.startswith("marvel_assets.")]
    names = modules + [f"{module}.{name}" for module in modules for name in code.co_names]
    return names + [name for each in code.co_consts if isinstance(each, CodeType) for name in _imported(each)]
