"""The UI as a person meets it: `marvel ui`, a browser, a button."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from marvel_assets.home import PROJECT_ROOT, Home

pytestmark = pytest.mark.browser

START_SECONDS = 120
VIEWPORT = {"width": 1700, "height": 900}
EVERY_GROUP = ",".join(f"global@global:{group}" for group in ("ingestion", "training", "registry", "serving"))
RUN_MILLISECONDS = 240_000
SCREENSHOTS = Path(os.environ.get("MARVEL_SCREENSHOTS") or "/nowhere")
"""Where the pictures of the README go when they are made anew; else none are kept."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, small_project: Path) -> Iterator[dict[str, str]]:
    """Dagster's and MLflow's pages over a fresh home."""
    home = Home(tmp_path_factory.mktemp("ui") / "home")
    ports = free_port(), free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", "ui",
         "--port", str(ports[0]), "--mlflow-port", str(ports[1])],
        cwd=PROJECT_ROOT,
        env={**inherited, "MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(small_project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pages = {"dagster": f"http://127.0.0.1:{ports[0]}", "mlflow": f"http://127.0.0.1:{ports[1]}"}
    try:
        for url in pages.values():
            _wait_until_it_answers(url, server)
        yield pages
    finally:
        server.terminate()
        server.wait(timeout=60)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"`marvel ui` ended with exit code {server.returncode}"
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"{url} did not answer within {START_SECONDS} s")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    chromium = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    assert chromium is not None, "no Chromium on the PATH; `make test` installs it on Debian as root"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport=VIEWPORT)
        browser.close()


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS.is_dir():
        page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def after_materialize_all(ui: dict[str, str], page: Page) -> dict[str, str]:
    """One click on "Materialize all", and the run has ended well."""
    page.goto(f"{ui['dagster']}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run").first).to_be_visible(timeout=60_000)
    page.goto(f"{ui['dagster']}/runs")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=RUN_MILLISECONDS)
    return ui


def test_one_click_materialises_the_whole_graph(after_materialize_all: dict[str, str], page: Page):
    # when
    page.set_viewport_size({"width": 2600, "height": 1250})
    page.goto(f"{after_materialize_all['dagster']}/asset-groups?expanded={EVERY_GROUP}")

    # then
    for asset in ("raw_characters", "train_set", "fitted_pipeline", "basic_model", "inference_wheel"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(3000)  # the graph fades in
    keep_picture(page, "lineage")
    page.set_viewport_size(VIEWPORT)


def test_the_model_shows_its_metrics_plots_and_links(after_materialize_all: dict[str, str], page: Page):
    # when
    page.goto(f"{after_materialize_all['dagster']}/assets/basic_model")

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("balanced_accuracy_score").first).to_be_visible()
    keep_picture(page, "basic_model")
    link = page.locator(f"a[href^='{after_materialize_all['mlflow']}']").first
    expect(link).to_have_count(1)


def test_the_link_leads_to_the_mlflow_run(after_materialize_all: dict[str, str], page: Page):
    # given
    page.goto(f"{after_materialize_all['dagster']}/assets/basic_model")
    link = page.locator(f"a[href^='{after_materialize_all['mlflow']}'][href*='/runs/']").first
    link.wait_for(timeout=30_000)

    # when
    page.goto(str(link.get_attribute("href")))

    # then
    expect(page.get_by_text("roc_auc").first).to_be_visible(timeout=30_000)


def test_every_check_is_green(after_materialize_all: dict[str, str], page: Page):
    # when
    page.goto(f"{after_materialize_all['dagster']}/assets/basic_model?view=checks")

    # then
    for check in ("loads_by_model_id_and_by_run", "is_found_by_git_sha", "training_rows_are_read_again"):
        expect(page.get_by_text(check).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
