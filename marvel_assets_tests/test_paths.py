"""The one folder that holds everything local."""

from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths


@pytest.mark.parametrize(
    ("value", "expected"), [("", PROJECT_ROOT / ".marvel"), ("here", "here"), ("~/there", "there")]
)
def test_the_home_is_what_is_named_else_beside_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, expected: Path | str
):
    # given
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MARVEL_HOME", value)

    # then
    assert ProjectPaths.from_environment().root == tmp_path / expected


def test_preparing_again_brings_the_settings_up_to_date_and_keeps_the_rest(tmp_path: Path):
    # given
    home = ProjectPaths(tmp_path / "home")
    home.prepare()
    (home.dagster / "dagster.yaml").write_text("old: true")
    (home.dagster / "history.db").write_text("kept")

    # when
    home.prepare()

    # then
    assert (home.dagster / "dagster.yaml").read_bytes() == (PROJECT_ROOT / "config" / "dagster.yaml").read_bytes()
    assert (home.dagster / "history.db").read_text() == "kept"
