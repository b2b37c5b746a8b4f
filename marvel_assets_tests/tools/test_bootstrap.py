"""How a checkout's environment is made, without making one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from marvel_assets.paths import PROJECT_ROOT

SCRIPT = PROJECT_ROOT / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a checkout in another folder."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bootstrap", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.delenv("MARVEL_HOME", raising=False)
    (tmp_path / "config").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "config/dagster.yaml"):
        (tmp_path / name).write_bytes((PROJECT_ROOT / name).read_bytes())
    return module


def test_an_environment_is_made_once_and_extended_for_another_profile(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a folder in place of the environment that commands would make
    commands = []

    def run(command: list[str], *_: object) -> None:
        commands.append(" ".join(command))
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv" / "bin" / "python").touch()

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(bootstrap, "uv_settings", lambda *_: {})

    # when
    for profile in ("embedded", "embedded", "spark", "embedded"):
        bootstrap.install_environment(bootstrap.PROFILES[profile])

    # then
    made, with_uv, installed, extended = commands
    assert f"venv --clear {tmp_path / '.venv'}" in made
    assert with_uv.endswith("--constraint constraints.txt uv")
    assert installed.endswith("--constraint constraints.txt --editable .[pipeline]")
    assert extended.endswith("--editable .[pipeline,spark]")


@pytest.mark.parametrize("home", [None, "elsewhere"])
def test_of_the_env_file_one_line_is_written_and_only_the_default_home_is_made(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
):
    # given
    file = tmp_path / ".env"
    file.write_text("MARVEL_WEBHOOK_URL=https://example.org/x\nDAGSTER_HOME=/old\n# mine")
    if home:
        monkeypatch.setenv("MARVEL_HOME", str(tmp_path / home))

    # when
    bootstrap.write_env_file()

    # then
    assert file.read_text().splitlines() == [
        "MARVEL_WEBHOOK_URL=https://example.org/x",
        "# mine",
        f"DAGSTER_HOME=${{MARVEL_HOME:-{tmp_path / '.marvel'}}}/dagster",
    ]
    assert (tmp_path / ".marvel" / "dagster" / "dagster.yaml").exists() == (home is None)
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_system_lacks_is_named_and_not_installed_unless_that_is_asked_for(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a path with no program in it
    for name in ("MARVEL_INSTALL", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    # when
    missing = bootstrap.missing_system_parts(frozenset({"spark"}))
    with pytest.raises(SystemExit, match="sudo apt-get install default-jre-headless"):
        bootstrap.install_system_parts(missing)

    # then
    assert missing == {"a Java runtime (17 or newer) for Spark": "default-jre-headless"}


def test_an_unknown_profile_is_answered_with_those_that_users_choose(bootstrap: ModuleType):
    with pytest.raises(SystemExit, match=r"^PROFILE is 'sparc'; choose embedded, spark, databricks\.$"):
        bootstrap.main("sparc", "marvel", "run")


def test_without_a_network_it_is_said_what_to_do(bootstrap: ModuleType):
    # given
    pip = "import sys; sys.exit('Retrying after connection broken by ...: /simple/uv/\\nERROR: conflicting')"

    # then
    with pytest.raises(SystemExit, match="conflicting\nThe package index can't be reached"):
        bootstrap.run([sys.executable, "-c", pip])
