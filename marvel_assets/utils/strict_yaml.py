"""YAML settings files in which a repeated key or an alias is an error."""

from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """Refuses aliases, which no setting needs, and repeated keys, of which PyYAML takes the last."""

    def fetch_alias(self) -> None:  # noqa: D102
        raise yaml.scanner.ScannerError(None, None, "found an alias; write out its value", self.get_mark())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: D102, FBT001, FBT002
        names = [key.value for key, _ in node.value]
        if twice := [key for key, _ in node.value if names.count(key.value) > 1]:
            problem = f"found the key {twice[-1].value!r} a second time; keep one of them"
            raise yaml.constructor.ConstructorError(None, None, problem, twice[-1].start_mark)
        return super().construct_mapping(node, deep)
