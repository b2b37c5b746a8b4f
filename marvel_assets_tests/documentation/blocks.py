"""The fenced blocks of README.md and docs/."""

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from marvel_assets.paths import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r'skip="(.+)"')


class Block(NamedTuple):
    """A fenced block: where it is, and why it is not run, if it is not."""

    document: Path
    line: int
    language: str
    skip: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    blocks = []
    for fence in (token for token in MarkdownIt().parse(document.read_text()) if token.type == "fence"):
        language, _, options = fence.info.partition(" ")
        skip = NOT_RUN.fullmatch(options)
        assert bool(skip) == bool(options), f"{document.name}: {fence.info}"
        blocks.append(Block(document, fence.map[0] + 1, language, skip and skip[1], fence.content))
    return blocks
