"""README.md and docs/: their links, pictures and examples, and what they show without running it."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marvel_assets.cli import main
from marvel_assets.definitions import defs
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.documentation.blocks import DOCUMENTS, Block, blocks_of

ALL_BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
PAGES = [*DOCUMENTS, *(PROJECT_ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"))]
DOCTESTED = [file for file in sorted((PROJECT_ROOT / "marvel_assets").rglob("*.py")) if ">>> " in file.read_text()]


@pytest.mark.parametrize("file", DOCTESTED, ids=lambda file: file.stem)
def test_the_examples_of_docstrings_are_as_they_stand(file: Path):
    # given
    name = ".".join(file.relative_to(PROJECT_ROOT).with_suffix("").parts).removesuffix(".__init__")

    # when
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    # then
    assert (failed, tried > 0) == (0, True)


def test_every_block_has_a_known_language_and_yaml_can_be_pasted():
    assert {block.language for block in ALL_BLOCKS} <= {"", "bash", "json", "python", "text", "yaml"}
    for block in ALL_BLOCKS:
        assert block.language != "yaml" or isinstance(yaml.safe_load(block.text), dict), block


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


def test_every_picture_is_shown_with_an_alternative_text():
    # given
    shown = [found for page in PAGES for found in re.findall(r"!\[(.+)\]\((\S+)\)", page.read_text())]

    # then
    pictures = {picture.name for picture in (PROJECT_ROOT / "docs").glob("*.png")}
    assert {Path(place).name for text, place in shown if len(text.split()) > 3} == pictures


@pytest.mark.parametrize(
    "block", [block for block in ALL_BLOCKS if block.skip], ids=lambda block: f"{block} {block.skip}"
)
def test_a_block_that_is_not_run_names_what_exists(block: Block, monkeypatch: pytest.MonkeyPatch):
    # given
    commands = [
        [word for word in shlex.split(line, comments=True) if "=" not in word or word.startswith("-")]
        for line in block.text.splitlines()
    ]

    # then
    for program, *arguments in filter(None, commands):
        match program.removeprefix(".venv/bin/"):
            case "make":
                subprocess.run(["make", "-n", arguments[0]], cwd=PROJECT_ROOT, check=True, capture_output=True)
            case "marvel":
                monkeypatch.setattr(sys, "argv", ["marvel", arguments[0], "--help"])
                with pytest.raises(SystemExit, match="0"):
                    main()
            case "dagster":
                assert defs.resolve_job_def(arguments[arguments.index("-j") + 1])
            case "python" | "python3":
                module = arguments[1].replace(".", "/") + ".py" if arguments[0] == "-m" else arguments[0]
                assert (PROJECT_ROOT / module).exists()
            case "export" | "source":
                pass
            case installed:
                assert Path(sys.executable).with_name(installed).exists()
