"""Delta's jars: fetched once, checked, and asked for by name where they can't be had."""

import hashlib
from pathlib import Path

import pytest

from marvel_assets.spark import delta_jars
from marvel_assets.spark.delta_jars import DELTA_JARS, JarsError, provide_jars
from marvel_assets_tests.servers.scripted import Answer, serving


@pytest.mark.spark
def test_both_jars_are_fetched_as_they_are_trusted_and_nothing_else_is_left(tmp_path: Path):
    # when
    files = provide_jars(tmp_path / "jars", tmp_path / "locks")

    # then
    assert sorted((tmp_path / "jars").iterdir()) == sorted(files)
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == [jar.sha256 for jar in DELTA_JARS]


def test_jars_that_are_there_are_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: nobody to ask
    monkeypatch.setattr(delta_jars, "REPOSITORY", "http://127.0.0.1:1")
    for jar in DELTA_JARS:
        (tmp_path / jar.file_name).touch()

    # then
    assert len(provide_jars(tmp_path, tmp_path / "locks")) == len(DELTA_JARS)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(404), r"delta-spark_4.2_2.13-4.4.0.jar can't be fetched: 404 .* put delta-spark\S+ into \S+/jars"),
        (Answer(body=b"planted"), r"delta-spark_4.2_2.13-4.4.0.jar has SHA-256 .* it is not used"),
    ],
    ids=["not there", "another"],
)
def test_a_jar_that_is_not_the_trusted_one_is_named_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, problem: str
):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(lambda _: answer) as served:
        monkeypatch.setattr(delta_jars, "REPOSITORY", served.url)

        # when
        with pytest.raises(JarsError, match=problem):
            provide_jars(tmp_path / "jars", tmp_path / "locks")

    # then
    assert not list(tmp_path.glob("jars/*"))
