"""A model's life under `marvel ui`: a browser, a button, a sensor's switch, and a run that is killed.

Each test continues where the one before it ended.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import state_of
from marvel_assets_tests.faults.canaries import SECRETS, has_canary, places_of_secrets
from marvel_assets_tests.homes import Templates, copy_of, mislabelled_characters
from marvel_assets_tests.servers.starting import LOOPBACK, Pages, listening_addresses, marvel_ui

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow(reason="the pages' daemon runs the graph"),
    pytest.mark.timeout(2400),
]

FAIR, BAD, BETTER = 0.1, 0.35, 0.0
"""Shares of training rows with the wrong label."""

SECONDS = 700
FAILURES_SEEN = "EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE"
"""The daemon's cursor in the event log, from which it retries failed runs."""

VIEWPORT, WIDE = {"width": 1700, "height": 900}, {"width": 2900, "height": 2100}
GROUPS = ("ingestion", "training", "registry", "serving", "monitoring")
PAGE_MILLISECONDS = 60_000

KILL_ONCE_AFTER_AN_ALIAS = """
import os, signal
from pathlib import Path
from marvel_assets.registry.mlflow import MlflowRegistry

set_alias = MlflowRegistry.set_alias

def set_alias_and_die(self, name, alias, version):
    set_alias(self, name, alias, version)
    order = Path(os.environ["KILL_ORDER"])
    if order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

MlflowRegistry.set_alias = set_alias_and_die
"""
"""The server's processes load this when they start: a `kill -9` on order, between the two alias moves."""

EVERYTHING_THAT_IS_SHOWN = """
    query($repository: RepositorySelector!) {
        allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
            ... on ResourceDetailsList {
                results { name configFields { name description } configuredValues { key value } }
            }
        }
        repositoryOrError(repositorySelector: $repository) {
            ... on Repository { displayMetadata { key value } }
        }
        utilizedEnvVarsOrError(repositorySelector: $repository) {
            ... on EnvVarWithConsumersList { results { envVarName } }
        }
        instance { info }
        runsOrError {
            ... on Runs { results {
                runId runConfigYaml tags { key value }
                eventConnection(limit: 1000) { events {
                    ... on MessageEvent { message }
                    ... on ExecutionStepFailureEvent { error { message stack causes { message stack } } }
                } }
            } }
        }
    }
"""


class Life(NamedTuple):
    """What is running, and where."""

    pages: Pages
    home: ProjectPaths
    project: Path
    source: Path
    kill_order: Path
    instance: dg.DagsterInstance

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """The runs with one of these statuses, the newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(statuses=list(statuses))))

    def aliases(self) -> list[int | None]:
        """The basic and the custom version, each by its own alias."""
        return list(state_of(self.home, self.project).aliases.values())


def wait_until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Check the condition every second."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s; found {what()}"
        time.sleep(1)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, small_project: Path, templates: Templates) -> Iterator[Life]:
    """The pages over a home with a first model, whose source has better data now; its user has secrets."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "startup").mkdir()
    (folder / "startup" / "sitecustomize.py").write_text(KILL_ONCE_AFTER_AN_ALIAS)
    home, source, kill_order = ProjectPaths(folder / "home"), folder / "characters.csv", folder / "kill"
    copy_of(templates.after(FAIR), home.root)
    mislabelled_characters(folder, BETTER).replace(source)
    settings = {
        "MARVEL_CONFIG": str(small_project),
        "MARVEL_SOURCE": str(source),
        "KILL_ORDER": str(kill_order),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "startup"), os.environ.get("PYTHONPATH")])),
        "DAGSTER_HOME": str(home.dagster),
        **SECRETS,
    }
    with marvel_ui(home, **settings) as pages, dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        yield Life(pages, home, small_project, source, kill_order, instance)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    chromium = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    assert chromium is not None, "no Chromium on the PATH; `make test` installs it on Debian as root"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport=VIEWPORT)
        opened.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)
        yield opened
        browser.close()


def close(page: Page) -> None:
    """Leave it before a run: an open page polls for news, which takes a third of the time."""
    page.goto("about:blank")


@pytest.fixture(scope="module")
def after_a_click(life: Life, page: Page) -> Life:
    """One click on "Materialize all", and a run that was killed between the two alias moves."""
    earlier = len(life.runs(dg.DagsterRunStatus.SUCCESS))
    # The daemon retries only what fails after it has begun to watch failures.
    wait_until(lambda: bool(life.instance.daemon_cursor_storage.get_cursor_values({FAILURES_SEEN})), life.runs)
    life.kill_order.touch()
    page.goto(f"{life.pages.dagster}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run").first).to_be_visible()
    close(page)
    wait_until(lambda: not life.kill_order.exists(), life.runs)
    assert life.aliases() == [1, 2]
    wait_until(lambda: len(life.runs(dg.DagsterRunStatus.SUCCESS)) > earlier, life.runs)
    return life


def test_one_click_materialises_the_whole_graph_although_its_run_is_killed(after_a_click: Life, page: Page):
    # when
    every_group = ",".join(f"global@global:{group}" for group in GROUPS)
    page.set_viewport_size(WIDE)
    page.goto(f"{after_a_click.pages.dagster}/asset-groups?expanded={every_group}")

    # then
    for asset in ("raw_characters", "train_set", "fitted_pipeline", "basic_model", "inference_wheel"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    page.set_viewport_size(VIEWPORT)
    assert after_a_click.aliases() == [2, 2]

    # and the daemon noticed that the worker was dead, and retried the run
    [killed] = after_a_click.runs(dg.DagsterRunStatus.FAILURE)
    assert after_a_click.runs()[0].parent_run_id == killed.run_id


def test_the_model_shows_its_metrics_and_a_link_leads_to_the_mlflow_run(after_a_click: Life, page: Page):
    # when
    page.goto(f"{after_a_click.pages.dagster}/assets/basic_model")

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible()
    link = page.locator(f"a[href^='{after_a_click.pages.mlflow}'][href*='/runs/']").first
    link.wait_for()

    # and when
    page.goto(str(link.get_attribute("href")))

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible()


def test_a_sensor_that_is_switched_on_retrains_and_a_refused_gate_shows_its_reason(after_a_click: Life, page: Page):
    # given
    earlier = len(after_a_click.runs(dg.DagsterRunStatus.SUCCESS))
    mislabelled_characters(after_a_click.source.parent, BAD).replace(after_a_click.source)
    sensor = f"{after_a_click.pages.dagster}/locations/marvel_assets/sensors/source_change_sensor"

    # when
    page.goto(sensor)
    switch = page.locator("label:has(input[type=checkbox])").first
    switch.click()
    expect(switch.locator("input")).to_be_checked()
    close(page)
    wait_until(lambda: len(after_a_click.runs(dg.DagsterRunStatus.SUCCESS)) > earlier, after_a_click.runs)
    page.goto(sensor)
    expect(page.get_by_text("1 run requested").first).to_be_visible()
    page.goto(f"{after_a_click.pages.dagster}/assets/basic_model_version?view=checks")

    # then
    expect(page.get_by_text("passes_the_gate").first).to_be_visible()
    expect(page.get_by_text("ROC AUC 0.").first).to_contain_text(", champion 0.")
    assert after_a_click.aliases() == [2, 2]


def test_the_pages_and_the_home_show_no_secret_and_only_this_machine_reaches_them(after_a_click: Life):
    # when
    pages = after_a_click.pages
    location = {"repositoryName": "__repository__", "repositoryLocationName": "marvel_assets"}
    query = {"query": EVERYTHING_THAT_IS_SHOWN, "variables": {"repository": location}}
    answer = requests.post(f"{pages.dagster}/graphql", json=query, timeout=60)
    experiments = f"{pages.mlflow}/ajax-api/2.0/mlflow/experiments/search"
    shown = {
        "GraphQL": answer.content,
        "the page": requests.get(pages.dagster, timeout=30).content,
        "MLflow's experiments": requests.post(experiments, json={"max_results": 100}, timeout=30).content,
    }

    # then
    content = answer.json()
    assert "errors" not in content, content
    resources = {result["name"] for result in content["data"]["allTopLevelResourceDetailsOrError"]["results"]}
    assert resources >= {"spark", "tracking", "unity_catalog"}
    assert len(content["data"]["runsOrError"]["results"]) == len(after_a_click.runs())
    assert [place for place, content in shown.items() if has_canary(content)] == []
    assert places_of_secrets(after_a_click.home) == []
    assert listening_addresses()
    assert listening_addresses() <= LOOPBACK
