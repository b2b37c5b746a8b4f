"""YAML settings files in which a repeated key or an alias is an error."""

from pathlib import Path
from typing import Any

import yaml


class _StrictLoader(yaml.SafeLoader):
    """Refuses aliases, which no setting needs, and repeated keys, of which PyYAML takes the last."""

    def fetch_alias(self) -> None:
        raise yaml.scanner.ScannerError(None, None, "found an alias; write out its value", self.get_mark())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = [key.value for key, _ in node.value]
        if twice := [key for key, _ in node.value if names.count(key.value) > 1]:
            problem = f"found the key {twice[-1].value!r} a second time; keep one of them"
            raise yaml.constructor.ConstructorError(None, None, problem, twice[-1].start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a YAML file of plain values; a ValueError says what is wrong, and where."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - accepts less than safe
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
