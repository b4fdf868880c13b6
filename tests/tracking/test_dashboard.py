"""A person's way through the dashboard, walked by a browser without a screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.cli.ui import page_of
from runner.sweep.mirror import SweepMirror
from runner.tracking.mirror import sync
from runner.tracking.server import Server, free_port
from runner.tracking.store import default_uri
from tests.processes import wait_for
from tests.sweep.made import TRIALS, made_sweep

WAIT_S = 90
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
    "--window-size=1500,1100", "--no-proxy-server", "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Dashboard:
    """A browser on MLflow's pages.

    Attributes:
        url: address of the server.
    """

    def __init__(self, browser: Any, url: str) -> None:
        self._browser, self.url = browser, url

    def shows(self, *words: str) -> bool:
        text = "".join(body.text for body in self._browser.find_elements("tag name", "body"))
        return all(word in text for word in words)

    def wait_for_words(self, *words: str) -> None:
        wait_for(lambda: self.shows(*words), timeout_s=WAIT_S, interval_s=0.5)

    def wait_for_elements(self, selector: str) -> list[Any]:
        return wait_for(
            lambda: self._browser.find_elements("css selector", selector), timeout_s=WAIT_S, interval_s=0.5
        )


@contextmanager
def open_dashboard(browser: Any, root: Path) -> Iterator[Dashboard]:
    """Serve the store of a folder of runs, and open the page of its runs."""
    with Server(default_uri(root), str(root), free_port()) as server:
        server.wait_ready()
        browser.get(server.url + page_of(root))
        yield Dashboard(browser, server.url)


@pytest.fixture
def browser() -> Iterator:
    program = next((found for found in map(shutil.which, BROWSERS) if found), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (extra `test`)")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in OPTIONS:
        options.add_argument(option)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


def test_run_and_its_metric_chart_are_found(browser, make_run, root, tmp_path):
    report = sync(make_run("2026-11-21_10-04-59_mlp_digits", steps=60))
    with open_dashboard(browser, root) as dashboard:
        dashboard.wait_for_words("2026-11-21_10-04-59_mlp_digits", "1 matching run")

        browser.find_element("link text", "2026-11-21_10-04-59_mlp_digits").click()
        dashboard.wait_for_words("Finished", "digits (0123456789abcdef)", "test/accuracy", "hidden_sizes")
        assert report.run_id in browser.current_url

        browser.get(f"{dashboard.url}/#/experiments/1/runs/{report.run_id}/model-metrics")
        line = dashboard.wait_for_elements(".js-plotly-plot path.js-line")[0]
        assert dashboard.shows("train", "loss", "lr", "Step")
        assert line.get_attribute("d").count(",") > 10  # a curve; plotly leaves out points in a line
        picture = tmp_path / "dashboard.png"
        assert browser.save_screenshot(str(picture))
        assert picture.stat().st_size > 20_000


@pytest.mark.slow
def test_sweep_is_found_with_its_trials_below_it(browser, root, tmp_path):
    sweep = made_sweep(root, TRIALS, name="my_search")
    mirror = SweepMirror(sweep)
    assert mirror.pass_once(final=True)
    mirror.parent.send_page()
    run_id = mirror.parent.run_id
    with open_dashboard(browser, root) as dashboard:
        dashboard.wait_for_words("my_search")
        browser.save_screenshot(str(tmp_path / "runs.png"))
        browser.get(f"{dashboard.url}/#/experiments/1/runs/{run_id}")
        dashboard.wait_for_words("my_search", "Finished", "best/val/accuracy", "space.optimizer.lr")
        assert dashboard.shows("7 of 7 trials", "Child runs", "my_search/1")
        browser.save_screenshot(str(tmp_path / "parent.png"))
        browser.get(f"{dashboard.url}/#/experiments/1/runs/{run_id}/artifacts/plots/history.png")
        assert dashboard.wait_for_elements("img")
        browser.save_screenshot(str(tmp_path / "picture.png"))
