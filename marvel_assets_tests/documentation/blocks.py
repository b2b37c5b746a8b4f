"""The fenced blocks of README.md and docs/, and a shell that runs those of a document."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from marvel_assets.paths import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r'skip="(.+)"')
SHORTER = {"trials=40": "trials=1"}
"""What takes long is done less often here."""

SECONDS = 2500
"""A bound for what hangs: a few minutes on two quiet cores."""

PRELUDE = r"""
set -eu
trap 'for server in $(cat "$SERVERS"); do kill "$server"; wait_for_the_end_of "$server"; done' EXIT
wait_for_the_end_of() { while kill -0 "$1" 2> /dev/null; do sleep 0.5; done; }
is_up() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
serve() {
  command make "$2" > "$SERVERS.log" 2>&1 &
  echo $! >> "$SERVERS"
  until is_up "$1"; do kill -0 $! || { cat "$SERVERS.log"; exit 1; }; sleep 0.5; done
}
make() {
  case $1 in
    serve) serve 5001 "$1" ;;
    spark-server) serve 15002 "$1" ;;
    *) command make "$@" ;;
  esac
}
"""
"""A server goes on in the background, as if in another terminal, and is ended by its process id."""


class Block(NamedTuple):
    """A fenced block: where it stands, and why it is not run, if it is not."""

    document: Path
    line: int
    language: str
    skip: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    fences = [token for token in MarkdownIt().parse(document.read_text()) if token.type == "fence"]
    blocks = []
    for fence in fences:
        language, _, options = fence.info.partition(" ")
        skip = NOT_RUN.fullmatch(options)
        assert bool(skip) == bool(options), f"{document.name}: {fence.info}"
        assert fence.map is not None
        blocks.append(Block(document, fence.map[0] + 1, language, skip and skip[1], fence.content))
    return blocks


def in_a_shell_of_its_own(block: Block) -> str:
    if block.language == "python":
        commands = f".venv/bin/python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
    else:
        commands = block.text
    for given, shorter in SHORTER.items():
        commands = commands.replace(given, shorter)
    return f"echo '### {block}'\n(\n{commands})\n"


def run_every_block(documents: list[Path], checkout: Path, terminal: dict[str, str]) -> None:
    """Run what is not skipped, each block in a shell of its own, one after another, until one fails."""
    blocks = [block for document in documents for block in blocks_of(document)
              if block.language in ("bash", "python") and not block.skip]  # fmt: skip
    script = PRELUDE + "".join(in_a_shell_of_its_own(block) for block in blocks)
    shown = checkout.with_name("shown")
    with shown.open("w") as file:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=checkout, env=terminal, stdout=file, stderr=file, start_new_session=True
        )
    try:
        code = shell.wait(SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert code == 0, shown.read_text()[-8000:]
    asked = sum("/invocations" in block.text for block in blocks)
    assert shown.read_text().count('{"predictions": {"Survival prediction": ["') == asked, shown.read_text()[-8000:]
