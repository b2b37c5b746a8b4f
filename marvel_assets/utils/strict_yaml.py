"""YAML settings files: a repeated key or an alias is an error that names its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 100_000
"""Size limit of a settings file; the project's own has two thousand bytes."""


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a YAML file of plain values.

    Raises:
        OSError: the file can't be read.
        ValueError: it is not such a file; the text says what is wrong, and where.
    """
    if not path.is_file():
        path.stat()  # tells a file that is missing from a pipe or a device, which may never end
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes, too many for a settings file")
    try:
        return yaml.load(content.decode(), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that accepts less
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start + 1}: {error.reason}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases, and repeated keys, of which PyYAML silently keeps the last."""

    def fetch_alias(self) -> None:
        """Refuse it: a few lines of aliases can stand for gigabytes."""
        mark = self.get_mark()
        raise yaml.scanner.ScannerError(None, None, "found an alias; write out what it stands for", mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Construct keys and values, if each key is there once."""
        first: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in first:
                raise yaml.constructor.ConstructorError(
                    None, None, f"found the key {key.value!r} a second time; keep one of them", key.start_mark
                )
            first.add(key.value)
        return super().construct_mapping(node, deep)
