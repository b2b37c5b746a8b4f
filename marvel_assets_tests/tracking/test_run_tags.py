"""Which commit a checkout is said to be at."""

import subprocess
from pathlib import Path

import pytest

from marvel_assets.tracking.run_tags import head_of, run_tags


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one file, committed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "feature/tags")
    (folder / "code.py").write_text("answer = 42")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_clean_checkout_has_its_commit_and_branch(checkout: Path):
    assert head_of(checkout) == (git(checkout, "rev-parse", "HEAD"), "feature/tags")


@pytest.mark.parametrize("file", ["code.py", "more_code.py"])
def test_a_checkout_with_a_changed_or_a_new_file_is_dirty(checkout: Path, file: str):
    # when
    (checkout / file).write_text("answer = 43")

    # then
    assert head_of(checkout)[0] == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_a_folder_inside_another_repository_has_not_that_ones_commit(checkout: Path, caplog: pytest.LogCaptureFixture):
    # given
    inner = checkout / "inner"
    inner.mkdir()

    # then
    assert head_of(inner) == ("unknown", "unknown")
    assert f"{inner}: its commit is unknown (fatal: not a git repository: '{inner}/.git')" in caplog.text
    assert "MARVEL_GIT_SHA" in caplog.text


def test_without_git_the_commit_is_unknown(
    checkout: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    # given
    monkeypatch.setenv("PATH", str(tmp_path))

    # then
    assert head_of(checkout) == ("unknown", "unknown")
    assert "'git'" in caplog.text


def test_the_environment_overrides_what_git_says_and_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch):
    # given
    for name, value in (("GIT_SHA", "0123abc"), ("GIT_BRANCH", "release"), ("RUN_ID", "")):
        monkeypatch.setenv(f"MARVEL_{name}", value)

    # then
    assert run_tags("the run") == {"git_sha": "0123abc", "branch": "release", "dagster_run_id": "the run"}
