"""YAML settings files: a repeated key or an alias is an error that names its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 100_000
"""Size limit of a settings file; the project's own has two thousand bytes."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses aliases, a few lines of which can stand for gigabytes, and repeated keys: PyYAML keeps the last."""

    def fetch_alias(self) -> None:
        raise yaml.scanner.ScannerError(None, None, "found an alias; write out what it stands for", self.get_mark())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for place, key in enumerate(keys):
            if key.value in [earlier.value for earlier in keys[:place]]:
                problem = f"found the key {key.value!r} a second time; keep one of them"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a YAML file of plain values.

    Raises:
        OSError: the file can't be read.
        ValueError: it is not such a file; the text says what is wrong, and where.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes, too many for a settings file")
    try:
        return yaml.load(content.decode(), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that accepts less
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error
