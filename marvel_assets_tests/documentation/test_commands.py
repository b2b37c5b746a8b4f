"""Every command of README.md and of the documents that it leads to works as it stands, each block in a new terminal."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import INTERPRETED
from marvel_assets_tests.documentation.blocks import Block, blocks_of
from marvel_assets_tests.homes import Templates, copy_of, mislabelled_characters
from marvel_assets_tests.servers.starting import LOOPBACK, listening_addresses

SECONDS = 2500
"""A bound for what hangs: a few minutes on two quiet cores."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.slow(reason="runs every command of a document"),
    pytest.mark.timeout(SECONDS + 500),
]

SHORTER = {"trials=40": "trials=1"}
"""What takes long is done less often here."""

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
    spark-server) is_up 15002 ;;
    *) command make "$@" ;;
  esac
}
"""
"""A server goes on in the background, as if in another terminal, and is ended by its process id.

`make spark-server` is what the fixture `connect_server` has run.
"""


@pytest.fixture
def checkout(tmp_path: Path, _made_by_make: None) -> Path:
    """A folder with the contents of this checkout, in which a reader may save a source."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for entry in PROJECT_ROOT.iterdir():
        if entry.name not in (".git", ".marvel", ".cache"):
            (folder / entry.name).symlink_to(entry)
    mislabelled_characters(tmp_path, 0).replace(folder / "characters.csv")
    return folder


@pytest.fixture
def terminal(tmp_path: Path, small_project: Path, spark_folder: Path) -> dict[str, str]:
    """The variables of a user who has opened a terminal, over a fresh home in which every model passes the gate."""
    content = yaml.safe_load(small_project.read_text())
    content["gate"]["mode"] = "report"
    (project := tmp_path / "project.yml").write_text(yaml.safe_dump(content))
    home = ProjectPaths(tmp_path / "home")
    home.root.mkdir()
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    (servers := tmp_path / "servers").touch()
    of_tests = ("MLFLOW_", "MARVEL_", "DAGSTER_", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(of_tests)}
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.executable).parent]
    return {
        **inherited,
        "PATH": os.pathsep.join(path),
        "PYTHON": str(Path(sys.executable).resolve()),
        "MARVEL_HOME": str(home.root),
        "MARVEL_CONFIG": str(project),
        "MARVEL_SPARK_SETTINGS": INTERPRETED,
        "SERVERS": str(servers),
    }


def commands_of(block: Block) -> str:
    """The block in its own shell."""
    commands = f".venv/bin/python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
    if block.language == "bash":
        commands = block.text
        for original, shorter in SHORTER.items():
            commands = commands.replace(original, shorter)
    return f"echo '### {block}'\n(\n{commands})\n"


def run_every_block(checkout: Path, terminal: dict[str, str], blocks: list[Block]) -> None:
    """Run the blocks that are not skipped, one after another, until one fails."""
    run = [block for block in blocks if block.language in ("bash", "python") and not block.skip]
    command = ["bash", "-c", PRELUDE + "".join(map(commands_of, run))]
    shown = checkout.with_name("shown")
    with shown.open("w") as file:
        shell = subprocess.Popen(command, cwd=checkout, env=terminal, stdout=file, stderr=file, start_new_session=True)
    try:
        code = shell.wait(SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    printed = shown.read_text()
    assert code == 0, printed[-8000:]
    requests = sum("/invocations" in block.text for block in run)
    assert printed.count('{"predictions": {"Survival prediction": ["') == requests, printed[-8000:]


README = blocks_of(PROJECT_ROOT / "README.md")
SERVING = next(number for number, block in enumerate(README) if block.text.startswith("make serve"))


def test_every_block_of_the_readme_works_in_a_fresh_home_until_it_serves(checkout: Path, terminal: dict[str, str]):
    run_every_block(checkout, terminal, README[:SERVING])


@pytest.mark.skipif(shutil.which("curl") is None, reason="README.md sends a request with curl")
def test_every_block_of_the_readme_works_from_there_on_and_those_of_serving_and_the_lecture(
    checkout: Path, terminal: dict[str, str], templates: Templates
):
    # given: two pairs, as in the reader's home by then
    copy_of(templates.after(0.1, 0), Path(terminal["MARVEL_HOME"]))

    # then
    others = [block for name in ("serving", "lecture4") for block in blocks_of(PROJECT_ROOT / "docs" / f"{name}.md")]
    run_every_block(checkout, terminal, README[SERVING:] + others)


@pytest.mark.usefixtures("connect_server")
def test_every_block_of_the_deployment_works_and_the_spark_server_listens_on_this_machine_alone(
    checkout: Path, terminal: dict[str, str]
):
    run_every_block(checkout, terminal, blocks_of(PROJECT_ROOT / "docs" / "deployment.md"))
    assert listening_addresses()
    assert listening_addresses() <= LOOPBACK
