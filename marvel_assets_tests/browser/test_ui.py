"""The UI as a person meets it: `marvel ui`, a browser, a button."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.homes import copy_of
from marvel_assets_tests.pages import Pages, served
from marvel_assets_tests.planted import spoilt_characters

pytestmark = [pytest.mark.browser, pytest.mark.slow(reason="the pages' daemon runs the graph twice")]

GOOD, BAD = 0.0, 0.35
"""Shares of training rows with the wrong label."""

VIEWPORT = {"width": 1700, "height": 900}
GROUPS = ("ingestion", "training", "registry", "serving", "monitoring")
EVERY_GROUP = ",".join(f"global@global:{group}" for group in GROUPS)
RUN_MILLISECONDS = 240_000
SCREENSHOTS = Path(os.environ.get("MARVEL_SCREENSHOTS") or "/nowhere")
"""Where the pictures of the README go when they are made anew; else none are kept."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the pages' runs read."""
    file = tmp_path_factory.mktemp("source") / "characters.csv"
    return spoilt_characters(file.parent, GOOD).replace(file)


@pytest.fixture(scope="module")
def ui(
    tmp_path_factory: pytest.TempPathFactory, small_project: Path, empty_home: ProjectPaths, source: Path
) -> Iterator[Pages]:
    """Dagster's and MLflow's pages over a fresh home."""
    home = copy_of(empty_home, tmp_path_factory.mktemp("ui") / "home")
    with served(home, MARVEL_CONFIG=str(small_project), MARVEL_SOURCE=str(source)) as pages:
        yield pages


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    chromium = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    assert chromium is not None, "no Chromium on the PATH; `make test` installs it on Debian as root"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport=VIEWPORT)
        browser.close()


def keep_picture(page: Page, name: str, fades_in: float = 0) -> None:
    if SCREENSHOTS.is_dir():
        page.wait_for_timeout(fades_in)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def after_materialize_all(ui: Pages, page: Page) -> Pages:
    """One click on "Materialize all", and the run has ended well."""
    page.goto(f"{ui.dagster}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run").first).to_be_visible(timeout=60_000)
    page.goto(f"{ui.dagster}/runs")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=RUN_MILLISECONDS)
    return ui


def test_one_click_materialises_the_whole_graph(after_materialize_all: Pages, page: Page):
    # when
    page.set_viewport_size({"width": 2900, "height": 1560})
    page.goto(f"{after_materialize_all.dagster}/asset-groups?expanded={EVERY_GROUP}")

    # then
    for asset in ("raw_characters", "train_set", "fitted_pipeline", "basic_model", "inference_wheel"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible(timeout=30_000)
    keep_picture(page, "lineage", fades_in=3000)
    page.set_viewport_size(VIEWPORT)


def test_the_model_shows_its_metrics_plots_and_links(after_materialize_all: Pages, page: Page):
    # when
    page.goto(f"{after_materialize_all.dagster}/assets/basic_model")

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("balanced_accuracy_score").first).to_be_visible()
    keep_picture(page, "basic_model")
    link = page.locator(f"a[href^='{after_materialize_all.mlflow}']").first
    expect(link).to_have_count(1)


def test_the_link_leads_to_the_mlflow_run(after_materialize_all: Pages, page: Page):
    # given
    page.goto(f"{after_materialize_all.dagster}/assets/basic_model")
    link = page.locator(f"a[href^='{after_materialize_all.mlflow}'][href*='/runs/']").first
    link.wait_for(timeout=30_000)

    # when
    page.goto(str(link.get_attribute("href")))

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible(timeout=30_000)


def test_every_check_is_green(after_materialize_all: Pages, page: Page):
    # when
    page.goto(f"{after_materialize_all.dagster}/assets/basic_model?view=checks")

    # then
    for check in ("loads_by_model_id_and_by_run", "is_found_by_git_sha", "training_rows_are_read_again"):
        expect(page.get_by_text(check).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)


@pytest.fixture(scope="module")
def after_worse_data(after_materialize_all: Pages, page: Page, source: Path) -> Pages:
    """The sensor was turned on by its switch, the source has got worse, and the sensor's run has ended."""
    page.goto(f"{after_materialize_all.dagster}/locations/marvel_assets/sensors/source_change_sensor")
    page.locator("label:has(input[type=checkbox])").first.click()
    spoilt_characters(source.parent, BAD).replace(source)
    expect(page.get_by_text("1 run requested").first).to_be_visible(timeout=RUN_MILLISECONDS)
    keep_picture(page, "source_change_sensor")
    page.goto(f"{after_materialize_all.dagster}/runs")
    expect(page.get_by_text("Success")).to_have_count(2, timeout=RUN_MILLISECONDS)
    return after_materialize_all


def test_a_refused_gate_tells_its_reason(after_worse_data: Pages, page: Page):
    # when
    page.goto(f"{after_worse_data.dagster}/assets/basic_model_version?view=checks")

    # then
    expect(page.get_by_text("passes_the_gate").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("ROC AUC 0.").first).to_contain_text(", champion 0.")
    keep_picture(page, "refused")


def test_the_model_card_stands_on_the_version(after_materialize_all: Pages, page: Page):
    # when
    page.goto(f"{after_materialize_all.dagster}/assets/basic_model_version")
    page.get_by_text("Show Markdown").first.click(timeout=30_000)

    # then
    expect(page.get_by_text("Survival prediction: model").first).to_be_visible(timeout=30_000)
