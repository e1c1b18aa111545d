"""The page in a real browser: it opens without a word of complaint, asks no network, hovers and expands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmconvert.report import Case
from tests.report import samples

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no Chromium with its driver on this machine"
)

FINGER, DESK = 390, 1280

PLACE_OF_POINT = """
const root = Bokeh.documents[arguments[0]].roots()[0];
const view = [...Bokeh.index].find(v => v.model === root);
const glyph = [...view.renderer_views.values()].find(r => r.model.name === arguments[1]);
const box = view.canvas_view.el.getBoundingClientRect();
const x = glyph.glyph.sx[0], y = glyph.glyph.sy[0];
return [box.left + x, box.top + y];
"""

TOOLTIP = """
const seen = [];
const walk = (root) => { for (const e of root.querySelectorAll("*")) {
  if (e.className && String(e.className).includes("bk-Tooltip")) seen.push((e.shadowRoot ?? e).textContent);
  if (e.shadowRoot) walk(e.shadowRoot);
} };
walk(document); return seen.join("|");
"""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Open:
    from selenium.webdriver.support.ui import WebDriverWait

    def show(case: Case, width: int = DESK, scheme: str = "light") -> Any:
        chromium.get("about:blank")
        chromium.get_log("browser")
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == FINGER}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        (tmp_path / "page.html").write_text(samples.render(case))
        chromium.get((tmp_path / "page.html").as_uri())
        WebDriverWait(chromium, 60).until(
            lambda d: d.execute_script("return document.documentElement.dataset.ready") == "yes"
        )
        problems = [entry["message"] for entry in chromium.get_log("browser") if entry["level"] != "INFO"]
        assert problems == []
        return chromium

    return show


def hover(driver: Any, figure: int, glyph: str) -> str:
    """What is shown over the first point of a glyph."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    id = driver.execute_script("return JSON.parse(document.getElementById('data').textContent).items", figure)
    driver.execute_script(
        f"document.getElementById('{id[figure]['target_id']}').scrollIntoView({{block: 'center'}})"
    )
    x, y = driver.execute_script(PLACE_OF_POINT, figure, glyph)
    actions = ActionChains(driver)
    actions.w3c_actions.pointer_action.move_to_location(int(x) - 1, int(y))
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()
    return str(WebDriverWait(driver, 20).until(lambda d: d.execute_script(TOOLTIP)))


def test_it_asks_no_network(opened: Open, tmp_path: Path) -> None:
    driver = opened(samples.good(tmp_path))
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_point_tells_its_operator_and_origin(opened: Open, tmp_path: Path) -> None:
    driver = opened(samples.edited(tmp_path, "reversed"))
    told = hover(driver, 0, "layers-wrong")
    assert "BatchNorm" in told
    assert "BatchNormalization 'down_bn'" in told
    assert "budget" in told


def test_a_box_tells_its_attributes(opened: Open, tmp_path: Path) -> None:
    driver = opened(samples.edited(tmp_path, "reversed"))
    assert "groups=24" in hover(driver, 3, "centre")


def test_what_is_folded_expands(opened: Open, tmp_path: Path) -> None:
    driver = opened(samples.good(tmp_path), FINGER)
    folded = driver.find_element("id", "environment")
    assert "mmconvert" not in folded.text
    folded.find_element("css selector", "summary").click()
    assert "mmconvert" in folded.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [FINGER, DESK])
def test_it_fits_and_can_be_read(opened: Open, tmp_path: Path, width: int, scheme: str) -> None:
    """The figures follow the screen also when it changes while the page is open."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver = opened(samples.edited(tmp_path, "reversed"), width, scheme)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    ink = "Bokeh.documents[0].roots()[0].left[0].major_label_text_color"
    assert driver.execute_script(f"return {ink}") == {"light": "#56657a", "dark": "#9fb0c5"}[scheme]
    other = [{"name": "prefers-color-scheme", "value": "light" if scheme == "dark" else "dark"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": other})
    wanted = {"dark": "#56657a", "light": "#9fb0c5"}[scheme]
    WebDriverWait(driver, 20).until(lambda d: d.execute_script(f"return {ink}") == wanted)


def test_no_name_is_run(opened: Open, tmp_path: Path) -> None:
    """Not in the text, and not in what hovering shows."""
    driver = opened(samples.hostile(tmp_path))
    told = hover(driver, 0, "layers-wrong")
    assert "<script>" in told
    assert driver.execute_script("return window.pwned === undefined")
