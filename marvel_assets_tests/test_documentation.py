"""The examples of README.md and docs/ work as they stand there, each in a new terminal."""

import contextlib
import doctest
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from markdown_it import MarkdownIt

from marvel_assets.cli import main
from marvel_assets.definitions import defs
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import INTERPRETED
from marvel_assets_tests.planted import spoilt_characters

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


ALL_BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def in_a_shell_of_its_own(block: Block) -> str:
    if block.language == "python":
        commands = f".venv/bin/python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
    else:
        commands = block.text
    for given, shorter in SHORTER.items():
        commands = commands.replace(given, shorter)
    return f"echo '### {block}'\n(\n{commands})\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like this checkout, for what a reader puts there, such as a source."""
    made_by = [sys.version, str(PROJECT_ROOT)]
    stamp = PROJECT_ROOT / ".venv" / "installed.json"
    if not (stamp.exists() and yaml.safe_load(stamp.read_text()).get("made_by") == made_by):
        pytest.skip("make did not make this environment, and would do so now")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for entry in PROJECT_ROOT.iterdir():
        if entry.name not in (".git", ".marvel", ".cache"):
            (folder / entry.name).symlink_to(entry)
    spoilt_characters(tmp_path, 0).replace(folder / "characters.csv")
    return folder


@pytest.fixture
def every_model_passes(small_project: Path, tmp_path: Path) -> Path:
    """A project in which a second run always makes a second pair of versions."""
    content = yaml.safe_load(small_project.read_text())
    content["gate"]["mode"] = "report"
    project = tmp_path / "project.yml"
    project.write_text(yaml.safe_dump(content))
    return project


@pytest.fixture
def terminal(tmp_path: Path, every_model_passes: Path, spark_folder: Path) -> dict[str, str]:
    """The variables of a user who has opened a terminal, over a fresh home."""
    home = ProjectPaths(tmp_path / "home")
    home.root.mkdir()
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    (tmp_path / "servers").touch()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "MARVEL_", "DAGSTER_", "VIRTUAL_ENV"))
    }
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.executable).parent]
    return {
        **inherited,
        "PATH": os.pathsep.join(path),
        "PYTHON": str(Path(sys.executable).resolve()),
        "MARVEL_HOME": str(home.root),
        "MARVEL_CONFIG": str(every_model_passes),
        "MARVEL_SPARK_SETTINGS": INTERPRETED,
        "SERVERS": str(tmp_path / "servers"),
    }


@pytest.mark.integration
@pytest.mark.spark
@pytest.mark.slow(reason="runs every command of a document, one of which makes a scoring environment")
@pytest.mark.timeout(SECONDS + 500)
@pytest.mark.skipif(shutil.which("curl") is None, reason="README.md asks the model with curl")
@pytest.mark.parametrize(
    "documents", [["README.md", "docs/serving.md", "docs/lecture4.md"], ["docs/deployment.md"]], ids=" ".join
)
def test_every_block_works_as_it_stands(documents: list[str], checkout: Path, terminal: dict[str, str]):
    # given
    blocks = [block for document in documents for block in blocks_of(PROJECT_ROOT / document)
              if block.language in ("bash", "python") and not block.skip]  # fmt: skip

    # when
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

    # then
    assert code == 0, shown.read_text()[-8000:]
    asked = sum("/invocations" in block.text for block in blocks)
    assert shown.read_text().count('{"predictions": {"Survival prediction": ["') == asked, shown.read_text()[-8000:]


DOCTESTED = [file for file in sorted((PROJECT_ROOT / "marvel_assets").rglob("*.py")) if ">>> " in file.read_text()]


@pytest.mark.parametrize("file", DOCTESTED, ids=lambda file: file.stem)
def test_the_examples_of_docstrings_are_as_they_stand(file: Path):
    # given
    name = ".".join(file.relative_to(PROJECT_ROOT).with_suffix("").parts).removesuffix(".__init__")

    # when
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    # then
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("block", [block for block in ALL_BLOCKS if block.language == "yaml"], ids=str)
def test_what_is_to_be_pasted_into_a_file_is_yaml(block: Block):
    # then
    assert isinstance(yaml.safe_load(block.text), dict)


PAGES = [*DOCUMENTS, *(PROJECT_ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"))]


def headings_of(document: Path) -> set[str]:
    """As links name them on GitHub."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_its_heading(page: Path):
    # given
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]

    # then
    for name, _, heading in (link.partition("#") for link in links):
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not heading or heading in headings_of(target), f"{name}#{heading}"


def test_every_picture_is_shown_with_a_text_that_stands_for_it():
    # given
    shown = [found for page in PAGES for found in re.findall(r"!\[(.+)\]\((\S+)\)", page.read_text())]

    # then
    pictures = {picture.name for picture in (PROJECT_ROOT / "docs").glob("*.png")}
    assert {Path(place).name for text, place in shown if len(text.split()) > 3} == pictures


def test_every_language_of_a_block_is_known_here():
    # then
    assert {block.language for block in ALL_BLOCKS} <= {"", "bash", "json", "python", "text", "yaml"}


@pytest.mark.parametrize(
    "block", [block for block in ALL_BLOCKS if block.skip], ids=lambda block: f"{block} {block.skip}"
)
def test_a_block_that_is_not_run_names_what_exists(block: Block, monkeypatch: pytest.MonkeyPatch):
    # given
    commands = [shlex.split(line, comments=True) for line in block.text.splitlines()]
    words = [[word for word in command if "=" not in word or word.startswith("-")] for command in commands]

    # then
    for command in filter(None, words):
        program, *arguments = command
        match program.removeprefix(".venv/bin/"):
            case "make":
                subprocess.run(["make", "-n", arguments[0]], cwd=PROJECT_ROOT, check=True, capture_output=True)
            case "marvel":
                monkeypatch.setattr(sys, "argv", ["marvel", arguments[0], "--help"])
                with pytest.raises(SystemExit, match="0"):
                    main()
            case "dagster":
                job = arguments[arguments.index("-j") + 1]
                assert defs.resolve_job_def(job)
            case "python" | "python3":
                module = arguments[1].replace(".", "/") + ".py" if arguments[0] == "-m" else arguments[0]
                assert (PROJECT_ROOT / module).exists()
            case "export" | "source":
                pass
            case installed:
                assert Path(sys.executable).with_name(installed).exists()
