"""Jobs and commands that ask a served model, where none is served."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import failure_of, run_job
from marvel_assets_tests.pages import free_port


def test_without_a_custom_model_the_job_says_what_to_materialise(home: ProjectPaths):
    # when
    result = run_job(home, "verify_scoring_environment", "verify_environment")

    # then
    assert "has no version under latest-model; materialise custom_model_version first" in failure_of(result)


@pytest.mark.usefixtures("home")
def test_without_a_model_nothing_is_served_and_the_command_says_how_to_make_one(
    marvel_here: Callable[..., CompletedProcess[str]],
):
    # when
    done = marvel_here("serve", "--port", str(free_port()))

    # then
    assert done.returncode == 1
    assert done.stderr == (
        "No model has the alias latest-model yet. `make run` trains one; if the gate refused it, `marvel summary` "
        "says why.\n"
    )
