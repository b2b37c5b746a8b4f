"""YAML as settings need it: what could mean two things, or grow without bound, is an error that names its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 100_000
"""Bytes of a file of settings; the project's own has two thousand."""


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """What a YAML file of plain values holds.

    Raises:
        OSError: it can't be read.
        ValueError: it is no such file; the text tells what is wrong and where.
    """
    if not path.is_file():
        path.stat()  # tells a file that is missing from a pipe or a device, which may never end
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes, and a file of settings has fewer")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text (byte {error.start + 1}: {error.reason}); save it as UTF-8") from error
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that takes less
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that takes neither aliases, by which few lines become gigabytes, nor a key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node, unless it refers to another one."""
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"found the alias *{event.anchor}; write out what it stands for", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's
        """Construct a value; of one that is no date, or no number that Python takes, the place is told."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"found a value that can't be used: {error}", node.start_mark
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Construct keys and values, after a look that no key stands there twice."""
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            known = first.setdefault((key.tag, key.value), key.start_mark)
            if known is not key.start_mark:
                raise yaml.constructor.ConstructorError(
                    f"the key {key.value!r} stands there first",
                    known,
                    f"found the key {key.value!r} a second time; keep one of them",
                    key.start_mark,
                )
        return super().construct_mapping(node, deep)
