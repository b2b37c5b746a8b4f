"""The one folder that holds everything local."""

from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths


@pytest.mark.parametrize("value", [None, ""])
def test_it_lies_beside_the_package_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch, value: str | None):
    # given
    monkeypatch.delenv("MARVEL_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("MARVEL_HOME", value)

    # then
    assert ProjectPaths.from_environment().root == PROJECT_ROOT / ".marvel"


def test_a_relative_path_does_not_depend_on_where_later_steps_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # given
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARVEL_HOME", "here")

    # then
    assert ProjectPaths.from_environment().root == tmp_path / "here"


def test_a_tilde_is_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # given
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MARVEL_HOME", "~/marvel")

    # then
    assert ProjectPaths.from_environment().root == tmp_path / "marvel"


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
