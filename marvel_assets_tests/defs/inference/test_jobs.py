"""Jobs that are started by name."""

import re

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import python, succeeded


@pytest.mark.slow(reason="installs a scoring environment")
def test_the_custom_model_answers_from_its_own_requirements(materialised: ProjectPaths):
    # given
    assert materialised.wheels.exists()

    # when
    done = succeeded(python("-m", "dagster", "job", "execute", "-m", "marvel_assets.definitions",
                            "-j", "verify_scoring_environment"))  # fmt: skip

    # then
    assert re.search(r"answers {'Survival prediction': \['.*'\]} there, and the same here", done.stderr)


def test_without_a_custom_model_the_job_says_what_to_materialise(home: ProjectPaths):
    # when
    done = python("-m", "dagster", "job", "execute", "-m", "marvel_assets.definitions",
                  "-j", "verify_scoring_environment")  # fmt: skip

    # then
    assert done.returncode != 0
    assert "has no version under latest-model; materialise custom_model_version first" in done.stderr
    assert home.mlflow_database.exists()
