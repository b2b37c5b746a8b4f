"""The life of a model as a person meets it: `marvel ui`, a browser, a button, a sensor's switch, and a run that is
killed. Each test goes on where the one before it ended.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests
from playwright.sync_api import FloatRect, Page, expect, sync_playwright

from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.model_pairs import BASIC_MODEL
from marvel_assets_tests.faults.canaries import EVERYTHING_THAT_IS_SHOWN, SECRETS, holds_one, places_of_secrets
from marvel_assets_tests.sockets import LOOPBACK, listening
from marvel_assets_tests.story.life import Life, running_ui, wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow(reason="the pages' daemon runs the graph four times"),
    pytest.mark.timeout(2400),
]

FAIR, BAD, BETTER = 0.1, 0.35, 0.0
"""Shares of training rows with the wrong label."""

VIEWPORT, WIDE = {"width": 1700, "height": 900}, {"width": 2900, "height": 2100}
GROUPS = ("ingestion", "training", "registry", "serving", "monitoring")
EVERY_GROUP = ",".join(f"global@global:{group}" for group in GROUPS)
PAGE_MILLISECONDS = 60_000
SCREENSHOTS = Path(os.environ.get("MARVEL_SCREENSHOTS") or "/nowhere")
"""Where the pictures of the documentation go when they are made anew; else none are kept."""
MARGIN = 30
"""Pixels around the graph that no picture shows."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, small_project: Path, empty_home: ProjectPaths) -> Iterator[Life]:
    """Dagster's and MLflow's pages over a fresh home, by somebody who has secrets."""
    with running_ui(tmp_path_factory.mktemp("story"), empty_home, small_project, FAIR, SECRETS) as running:
        yield running


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


def keep_picture(page: Page, name: str, *, graph_only: bool = False) -> None:
    """Of the page once it has loaded and nothing fades or hovers; of the lineage without what stands around it."""
    if not SCREENSHOTS.is_dir():
        return
    page.mouse.move(0, 0)
    page.wait_for_timeout(3000)
    expect(page.get_by_text("Loading...")).to_have_count(0)
    if (close_assistant := page.get_by_role("button", name="Close", exact=True)).count():
        close_assistant.click()
        page.wait_for_timeout(3000)
    clip: FloatRect | None = None
    if graph_only and (box := page.locator("svg:has(> foreignObject)").bounding_box()):
        x, y, width, height = box["x"], box["y"], box["width"], box["height"]
        clip = {"x": x + MARGIN, "y": y + MARGIN, "width": width - 2 * MARGIN, "height": height - 2 * MARGIN}
    page.screenshot(path=SCREENSHOTS / f"{name}.png", clip=clip)


def close(page: Page) -> None:
    """Leave it before a run: an open page goes on asking for news, which takes a third of the time."""
    page.goto("about:blank")


@pytest.fixture(scope="module")
def pages_after_a_run(life: Life, page: Page) -> tuple[str, str]:
    """Dagster's and MLflow's, after one click on "Materialize all" and a run that has ended well."""
    page.goto(f"{life.pages.dagster}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run").first).to_be_visible()
    close(page)
    successful = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])
    wait_until(lambda: life.instance.get_runs_count(successful) == 1, lambda: "the run of the whole graph")
    page.goto(f"{life.pages.dagster}/runs")
    expect(page.get_by_text("Success").first).to_be_visible()
    return life.pages.dagster, life.pages.mlflow


def test_one_click_materialises_the_whole_graph(pages_after_a_run: tuple[str, str], life: Life, page: Page):
    # when
    page.set_viewport_size(WIDE)
    page.goto(f"{pages_after_a_run[0]}/asset-groups?expanded={EVERY_GROUP}")

    # then
    for asset in ("raw_characters", "train_set", "fitted_pipeline", "basic_model", "inference_wheel"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    keep_picture(page, "lineage", graph_only=True)
    page.set_viewport_size(VIEWPORT)
    assert life.under_the_aliases() == (1, 1)


def test_the_model_shows_its_metrics_plots_and_links_and_one_leads_to_the_mlflow_run(
    pages_after_a_run: tuple[str, str], page: Page
):
    # given
    dagster, mlflow = pages_after_a_run

    # when
    page.goto(f"{dagster}/assets/basic_model")

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible()
    expect(page.get_by_text("balanced_accuracy_score").first).to_be_visible()
    keep_picture(page, "basic_model")
    link = page.locator(f"a[href^='{mlflow}'][href*='/runs/']").first
    link.wait_for()

    # when
    page.goto(str(link.get_attribute("href")))

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible()
    keep_picture(page, "mlflow_run")


def test_every_check_is_green(pages_after_a_run: tuple[str, str], page: Page):
    # when
    page.goto(f"{pages_after_a_run[0]}/assets/basic_model?view=checks")

    # then
    for check in ("loads_by_model_id_and_by_run", "training_rows_are_read_again"):
        expect(page.get_by_text(check).first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)


def test_the_model_card_stands_on_the_version(pages_after_a_run: tuple[str, str], page: Page):
    # when
    page.goto(f"{pages_after_a_run[0]}/assets/basic_model_version")
    page.get_by_text("Show Markdown").first.click()

    # then
    expect(page.get_by_text("Survival prediction: model").first).to_be_visible()


@pytest.fixture(scope="module")
def switched_on(pages_after_a_run: tuple[str, str], life: Life, page: Page) -> Life:
    """The sensor was turned on by its switch."""
    page.goto(f"{pages_after_a_run[0]}/locations/marvel_assets/sensors/source_change_sensor")
    switch = page.locator("label:has(input[type=checkbox])").first
    switch.click()
    expect(switch.locator("input")).to_be_checked()
    close(page)
    return life


def test_data_that_were_trained_on_by_hand_are_known_to_the_sensor(switched_on: Life):
    # when
    wait_until(lambda: "is still the content of version 0" in switched_on.last_skip(), switched_on.last_skip)

    # then
    assert switched_on.runs() == []


def test_a_refused_gate_shows_its_reason(switched_on: Life, page: Page):
    # given
    succeeded = switched_on.succeeded()
    switched_on.deliver(BAD)

    # when
    switched_on.wait_for_runs(succeeded + 1)
    page.goto(f"{switched_on.pages.dagster}/locations/marvel_assets/sensors/source_change_sensor")
    expect(page.get_by_text("1 run requested").first).to_be_visible()
    keep_picture(page, "source_change_sensor")
    page.goto(f"{switched_on.pages.dagster}/assets/basic_model_version?view=checks")

    # then
    expect(page.get_by_text("passes_the_gate").first).to_be_visible()
    expect(page.get_by_text("ROC AUC 0.").first).to_contain_text(", champion 0.")
    keep_picture(page, "refused")
    close(page)
    assert switched_on.under_the_aliases() == (1, 1)


def test_a_kill_between_the_two_alias_moves_is_healed_by_the_run_that_follows(switched_on: Life):
    # given
    succeeded = switched_on.succeeded()
    switched_on.kill_order.touch()

    # when
    switched_on.deliver(BETTER)
    wait_until(lambda: not switched_on.kill_order.exists(), lambda: "the kill")
    assert switched_on.under_the_aliases() == (1, 2)
    switched_on.wait_for_runs(succeeded + 1)

    # then: the daemon saw that the worker was gone, and tried the run again
    assert switched_on.under_the_aliases() == (2, 2)
    [killed] = switched_on.runs(dg.DagsterRunStatus.FAILURE)
    assert switched_on.runs()[0].root_run_id == killed.run_id


def test_a_rollback_puts_version_1_back(switched_on: Life):
    # given
    before = [run.run_id for run in switched_on.runs()]

    # when
    switched_on.start_job("rollback", "rollback_models", reason="Uatu is not dead", actor="Ororo")
    wait_until(lambda: switched_on.under_the_aliases() == (1, 1), lambda: f"found {switched_on.under_the_aliases()}")

    # then: the same data does not undo it
    rolled_back = time.time()
    wait_until(lambda: switched_on.last_tick() > rolled_back, lambda: "a tick of the sensor")
    assert "is still the content of version" in switched_on.last_skip()
    assert [run.run_id for run in switched_on.runs()] == before
    assert switched_on.under_the_aliases() == (1, 1)


def test_mlflow_shows_why_version_2_is_not_served(switched_on: Life, page: Page):
    # when
    name = switched_on.config.qualified(BASIC_MODEL)
    page.goto(f"{switched_on.pages.mlflow}/#/models/{name}?workflowType=machine_learning")

    # then
    expect(page.get_by_text("Uatu is not dead").first).to_be_visible()
    keep_picture(page, "mlflow_versions")


def test_the_pages_and_the_home_show_no_secret_and_only_this_machine_reaches_them(switched_on: Life):
    # when
    pages = switched_on.pages
    location = {"repositoryName": "__repository__", "repositoryLocationName": "marvel_assets"}
    query = {"query": EVERYTHING_THAT_IS_SHOWN, "variables": {"repository": location}}
    answer = requests.post(f"{pages.dagster}/graphql", json=query, timeout=60)
    shown = {
        "GraphQL": answer.content,
        "the page": requests.get(pages.dagster, timeout=30).content,
        "MLflow's experiments": requests.post(
            f"{pages.mlflow}/ajax-api/2.0/mlflow/experiments/search", json={"max_results": 100}, timeout=30
        ).content,
    }

    # then
    content = answer.json()
    assert "errors" not in content, content
    resources = {result["name"] for result in content["data"]["allTopLevelResourceDetailsOrError"]["results"]}
    assert resources >= {"spark", "tracking", "unity_catalog"}
    assert len(content["data"]["runsOrError"]["results"]) > len(switched_on.runs())
    assert [place for place, content in shown.items() if holds_one(content)] == []
    assert places_of_secrets(switched_on.home) == []
    addresses = listening()
    assert addresses
    assert addresses <= LOOPBACK
