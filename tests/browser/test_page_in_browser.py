"""The page in a real browser: pointer, keyboard, filters, sorting, print, narrow, dark, offline."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import open_page
from report_files import NAN, World, accuracy, grid, write_run, write_sweep

from hpcfed.report.page import write_page

BAD = "<script>document.title = 'broken'</script>"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a sweep of 2 x 2 cells and 3 seeds, whose last cell is missing."""
    folder = tmp_path_factory.mktemp("sweep with 'odd' #name")
    worlds = grid((0.0, 0.5), (0.0, 0.5))
    failed = World(p=0.5, q=0.5, status="failed", error=BAD, test=(0.3, 0.1))
    write_sweep(folder, [*worlds[:9], failed], missing=worlds[10:])
    return write_page(folder)


def one(driver: Any, css: str) -> Any:
    return driver.find_element("css selector", css)


def every(driver: Any, css: str) -> list[Any]:
    return list(driver.find_elements("css selector", css))


def column(driver: Any, name: str) -> list[str]:
    heads = [head.text.rstrip(" ▲▼") for head in every(driver, "#table th")]
    return [row.find_elements("css selector", "td")[heads.index(name)].text
            for row in every(driver, "#table tbody tr")]  # fmt: skip


def choose(driver: Any, css: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(driver, css)).select_by_value(value)


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver, duration=0).send_keys(*keys).perform()


def test_cells_show_their_numbers_and_what_is_missing(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    shown = {text.text for text in every(chromium, "#heat text")}
    means = {f"{100 * accuracy(p, q, 1):.1f}" for p, q in ((0, 0), (0.5, 0), (0, 0.5))}
    assert means <= shown
    assert {"±1.0", "n 3", "no run", "n 0/3"} <= shown
    assert "12 planned runs: 9 finished, 1 failed." in one(chromium, "header").text
    assert "Missing: 2 of 12" in one(chromium, "header").text


@pytest.mark.parametrize("mark", ["#heat [data-cell='1,0']", "#bytes [data-point='1,0']"])
def test_pointing_at_a_cell_shows_its_runs(chromium: Any, sweep: Path, mark: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(chromium, sweep)
    ActionChains(chromium, duration=0).move_to_element(one(chromium, mark)).perform()
    tip = one(chromium, "#tip")
    assert tip.is_displayed()
    assert tip.text.startswith("p = 0.5, q = 0: 80.0 ± 1.0 %")
    for seed in range(3):
        assert f"seed {seed}: {100 * accuracy(0.5, 0, seed):.2f} %" in tip.text
    ActionChains(chromium, duration=0).move_to_element(one(chromium, "h1")).perform()
    assert not tip.is_displayed()


def test_clicking_a_cell_opens_its_learning_curves(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    assert "10 of 10 runs, 4 settings" in one(chromium, "#curve-note").text
    one(chromium, "#heat [data-cell='1,0']").click()
    assert "3 of 10 runs, 1 setting." in one(chromium, "#curve-note").text
    chosen = one(chromium, "select[data-key='uplink.mask_probability']")
    assert chosen.get_attribute("value") == "0.5"
    assert chromium.execute_script("return document.activeElement.id") == "curves"
    assert chromium.execute_script(
        "return document.getElementById('curves').getBoundingClientRect().top < innerHeight"
    )
    one(chromium, "#reset").click()
    assert "10 of 10 runs" in one(chromium, "#curve-note").text


def test_the_keyboard_reaches_cells_and_curves(chromium: Any, sweep: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(chromium, sweep)
    stops = every(chromium, "#heat [tabindex='0']")
    assert len(stops) == 1
    chromium.execute_script("arguments[0].focus()", stops[0])
    press(chromium, Keys.ARROW_RIGHT)
    active = chromium.switch_to.active_element
    assert active.get_attribute("data-cell") == "1,0"
    assert one(chromium, "#tip").text.startswith("p = 0.5, q = 0: 80.0")
    press(chromium, Keys.ARROW_UP)
    assert chromium.switch_to.active_element.get_attribute("data-cell") == "1,1"
    press(chromium, Keys.ARROW_LEFT, Keys.ENTER)
    assert "3 of 10 runs" in one(chromium, "#curve-note").text
    cover = one(chromium, "#curve [tabindex='0']")
    chromium.execute_script("arguments[0].focus()", cover)
    press(chromium, Keys.ARROW_RIGHT)
    assert f"round 2: {100 * accuracy(0, 0.5, 1):.1f}" in one(chromium, "#tip").text


def test_every_control_can_be_reached_with_the_tab_key(chromium: Any, sweep: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(chromium, sweep)
    reached = set()
    for _ in range(80):
        press(chromium, Keys.TAB)
        reached.add(chromium.execute_script(
            "const a = document.activeElement; return a.id || a.closest('[id]')?.id"
        ))  # fmt: skip
    assert {"heat", "bytes", "quantity", "over", "average", "filters", "reset", "curve", "find",
            "status", "table"} <= reached  # fmt: skip


def test_filters_choose_what_the_curves_show(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    choose(chromium, "select[data-key='participation.drop_probability']", "0")
    assert "6 of 10 runs, 2 settings." in one(chromium, "#curve-note").text
    assert len(every(chromium, "#curve .curve")) == 2
    assert len(every(chromium, "#curve polygon")) == 2  # bands
    one(chromium, "#average").click()
    assert len(every(chromium, "#curve .curve")) == 6
    assert not every(chromium, "#curve polygon")
    for quantity in ("train_loss", "validation_accuracy"):
        choose(chromium, "#quantity", quantity)
        assert len(every(chromium, "#curve .curve")) == 6
    choose(chromium, "#over", "uplink")
    assert "uplink so far" in {text.text for text in every(chromium, "#curve text")}


def test_large_seeds_keep_their_digits(chromium: Any, tmp_path: Path) -> None:
    seeds = [1234567, 1234568, 2**64 - 2, 2**64 - 1]
    write_sweep(tmp_path, [World(seed=seed) for seed in seeds])
    open_page(chromium, write_page(tmp_path))
    assert column(chromium, "seed") == [str(seed) for seed in seeds]
    choose(chromium, "select[data-key='seed']", "1234568")
    assert "1 of 4 runs" in one(chromium, "#curve-note").text


def test_the_table_is_sorted_by_any_column(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    head = next(b for b in every(chromium, "#table th button") if b.text == "test / %")
    head.click()
    up = [float(text) for text in column(chromium, "test / %")]
    assert up == sorted(up)
    assert up[0] == 10.0
    one(chromium, "#table th[aria-sort='ascending'] button").click()
    assert [float(text) for text in column(chromium, "test / %")] == up[::-1]
    assert one(chromium, "#table th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_the_table_is_filtered_by_text_and_by_status(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    assert len(column(chromium, "run")) == 10
    choose(chromium, "#status", "failed")
    assert column(chromium, "status") == ["failed"]
    choose(chromium, "#status", "")
    one(chromium, "#find").send_keys("0000003")
    assert column(chromium, "run") == [f"runs/{3:016x}"]
    assert "1 of 10 runs" in one(chromium, "#count").text


def test_links_lead_to_the_run_files(chromium: Any, sweep: Path) -> None:
    from urllib.parse import unquote, urlparse

    open_page(chromium, sweep)
    links = [link.get_attribute("href") for link in every(chromium, "#table a")]
    files = [Path(unquote(urlparse(link).path)) for link in links]
    assert len(files) == 10
    assert all(file.is_file() for file in files)


def test_text_of_a_configuration_stays_text(chromium: Any, tmp_path: Path) -> None:
    sets = [f'model.warm_start="{BAD}"', f'name="{BAD.replace("/", "|")}"']
    write_run(tmp_path / "a", World(sets=sets))
    write_run(tmp_path / "b", World(seed=1, status="failed", error=BAD))
    open_page(chromium, write_page(tmp_path))
    assert chromium.title != "broken"
    assert BAD in one(chromium, "#failures").text
    assert BAD in column(chromium, "model.warm_start")


def test_print_shows_everything_and_no_controls(chromium: Any, sweep: Path) -> None:
    open_page(chromium, sweep)
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(d.get_attribute("open") for d in every(chromium, "details"))
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not one(chromium, "#find").is_displayed()
    assert not one(chromium, "nav").is_displayed()
    assert one(chromium, "#table tbody tr:last-child").is_displayed()
    printed = base64.b64decode(chromium.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_a_narrow_window_scrolls_in_one_direction_only(chromium: Any, sweep: Path) -> None:
    metrics = {"width": 340, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    open_page(chromium, sweep)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 340
    assert one(chromium, "#heat [data-cell='0,0']").is_displayed()
    metrics["width"] = 900
    width = "return document.querySelector('#curve svg')?.getAttribute('width') ?? null"
    before = chromium.execute_script(width)
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(chromium, 30, 0.05).until(lambda d: d.execute_script(width) not in (None, before))


def test_a_wide_grid_scrolls_within_its_own_frame(chromium: Any, tmp_path: Path) -> None:
    metrics = {"width": 340, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    write_sweep(tmp_path, [], missing=grid([i / 16 for i in range(15)], (0.0, 0.5), seeds=1))
    open_page(chromium, write_page(tmp_path))
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 340
    heat = "const h = document.getElementById('heat'); return "
    assert chromium.execute_script(heat + "h.scrollWidth > h.clientWidth")


def test_dark_and_light_have_readable_contrast(chromium: Any, sweep: Path) -> None:
    seen = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        open_page(chromium, sweep)
        style = "const s = getComputedStyle(document.querySelector(arguments[0])); return "
        paper = chromium.execute_script(style + "s.backgroundColor", "body")
        quiet = chromium.execute_script(style + "s.color", ".quiet")
        seen.append(luminance(paper))
        ratio = contrast(luminance(paper), luminance(quiet))
        assert ratio >= 4.5, f"{scheme}: {ratio}"  # WCAG 2, level AA
        axis = chromium.execute_script(style + "s.fill", "#heat text:last-of-type")
        assert contrast(luminance(paper), luminance(axis)) >= 4.5
    assert seen[0] > 0.9 > 0.1 > seen[1]


def luminance(rgb: str) -> float:
    import re

    parts = [int(part) / 255 for part in re.findall(r"\d+", rgb)[:3]]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


@pytest.mark.parametrize(
    "world",
    [World(test=(0.5, 0.75)), World(test=(NAN, NAN)), World(test=(), status="running"),
     World(test=(0.0,), p=1.0), World(test=(0.1, 0.2), rounds={"train_loss": (NAN, 1e30)})],
    ids=["one run", "never evaluated", "no round", "nothing sent", "diverged"],
)  # fmt: skip
def test_a_single_run_has_a_page(chromium: Any, tmp_path: Path, world: World) -> None:
    write_run(tmp_path, world)
    open_page(chromium, write_page(tmp_path))
    assert len(every(chromium, "#table tbody tr")) == 1


def test_a_planned_sweep_has_a_page(chromium: Any, tmp_path: Path) -> None:
    write_sweep(tmp_path, [], missing=grid((0.0, 0.5), (0.0,)))
    open_page(chromium, write_page(tmp_path))
    assert "no run" in {text.text for text in every(chromium, "#heat text")}


@pytest.fixture(scope="module")
def categories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a sweep over a category, a number and seeds, where p and q stay."""
    folder = tmp_path_factory.mktemp("categories")
    worlds = [
        World(test=(0.3, 0.4 + 0.1 * epochs + gain + 0.01 * seed), seed=seed, p=0.5,
              sets=[f'model.neuron="{kind}"', f"client.epochs={epochs}"])
        for kind, gain in (("lif", 0.2), ("alif", 0.0)) for epochs in (1, 2, 3) for seed in range(3)
    ]  # fmt: skip
    write_sweep(folder, worlds)
    return write_page(folder)


def test_a_sweep_over_other_keys_is_a_grid_over_them(chromium: Any, categories: Path) -> None:
    open_page(chromium, categories)
    chosen = [one(chromium, css).get_attribute("value") for css in ("#x-key", "#y-key")]
    assert chosen == ["client.epochs", "model.neuron"]
    shown = {text.text for text in every(chromium, "#heat text")}
    assert {"1", "2", "3", "lif", "alif", "51.0", "61.0", "71.0", "81.0", "91.0", "n 3"} <= shown
    assert len(every(chromium, "#heat [data-cell]")) == 6
    assert len(every(chromium, "#bytes [data-point]")) == 6
    label = one(chromium, "#heat [data-cell='2,1']").get_attribute("aria-label")
    assert label.startswith("client.epochs = 3, model.neuron = lif: 91.0 ± 1.0 %")
    assert len(every(chromium, "#settings tbody tr")) == 6


def test_any_two_keys_can_be_the_axes(chromium: Any, categories: Path) -> None:
    open_page(chromium, categories)
    choose(chromium, "#y-key", "")
    assert len(every(chromium, "#heat [data-cell]")) == 3
    assert len(every(chromium, "#group option")) == 2
    assert len(every(chromium, "#bytes [data-point]")) == 6  # all settings in one plot
    choose(chromium, "#x-key", "model.neuron")
    choose(chromium, "#y-key", "client.epochs")
    assert len(every(chromium, "#heat [data-cell]")) == 6


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of one run."""
    folder = tmp_path_factory.mktemp("single")
    write_run(folder, World(test=(0.3, 0.5)))
    return write_page(folder)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_one_run_shows_its_figures_in_the_colours_of_the_page(
    chromium: Any, single: Path, scheme: str
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    open_page(chromium, single)
    assert not one(chromium, "#tradeoff").is_displayed()
    figures = every(chromium, "#run figure")
    assert len(figures) == 4  # reliability among them: the run has confidences
    width = one(chromium, "body").size["width"]
    ink = "return getComputedStyle(arguments[0])[arguments[1]]"
    page_ink = chromium.execute_script(ink, one(chromium, "body"), "color")
    for figure in figures:
        assert figure.is_displayed()
        assert figure.get_attribute("tabindex") == "0"
        assert figure.get_attribute("aria-label")
        assert 0 < figure.size["width"] <= width
        text = figure.find_element("css selector", "svg text")
        assert chromium.execute_script(ink, text, "fill") == page_ink
    assert one(chromium, "#curve svg").is_displayed()


def test_the_keyboard_reaches_the_numbers_behind_the_figures_of_one_run(
    chromium: Any, single: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(chromium, single)
    found = {s.text: s for s in every(chromium, "#run details.numbers > summary")}
    assert {"Clients", "Groups", "Confusion: what was taken for what", "Neurons"} <= found.keys()
    wanted = found["Clients"]
    one(chromium, "#run figure").click()
    for _ in range(10):
        chromium.switch_to.active_element.send_keys(Keys.TAB)
        if chromium.switch_to.active_element == wanted:
            break
    assert chromium.switch_to.active_element == wanted
    assert not every(chromium, "#run details.numbers table")[0].is_displayed()
    wanted.send_keys(Keys.ENTER)
    table = every(chromium, "#run details.numbers table")[0]
    assert table.is_displayed()
    assert table.find_elements("css selector", "tbody tr:first-child td")[1].text == "speaker 0"
    assert len(table.find_elements("css selector", "tbody tr")) == 10


def test_the_page_of_one_run_prints_its_figures(chromium: Any, single: Path) -> None:
    open_page(chromium, single)
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert all(figure.is_displayed() for figure in every(chromium, "#run figure svg"))
    assert not one(chromium, "nav").is_displayed()
    assert not any(table.is_displayed() for table in every(chromium, "#run details.numbers"))


def test_a_repetition_counts_once(chromium: Any, tmp_path: Path) -> None:
    for name, test in (("a", 0.5), ("b", 0.9), ("c", 0.7)):  # a and b are the same repetition
        seed = 1 if name == "c" else 0
        write_run(tmp_path / name, World(test=(0.1, test), seed=seed, sets=["client.epochs=1"]))
    write_run(tmp_path / "d", World(test=(0.1, 0.4), seed=0, sets=["client.epochs=2"]))
    open_page(chromium, write_page(tmp_path))
    shown = {text.text for text in every(chromium, "#heat text")}
    assert {"60.0", "n 2"} <= shown


def test_intervals_of_accuracies_end_at_nothing_and_everything(
    chromium: Any, tmp_path: Path
) -> None:
    for seed, test in enumerate((0.9, 1.0, 0.95)):
        for epochs, values in ((1, (0.2, test)), (2, (0.1, test - 0.9))):
            world = World(test=values, seed=seed, sets=[f"client.epochs={epochs}"])
            write_run(tmp_path / f"{epochs}-{seed}", world)
    from selenium.webdriver.common.keys import Keys

    open_page(chromium, write_page(tmp_path))
    cells = [c.get_attribute("aria-label") for c in every(chromium, "#heat [data-cell]")]
    assert any(" to 100.0 %" in text for text in cells)
    assert any("interval 0.0 to " in text for text in cells)
    cover = one(chromium, "#curve [tabindex='0']")
    chromium.execute_script("arguments[0].focus()", cover)
    press(chromium, Keys.ARROW_RIGHT)
    assert re.search(r"\[.*, 100\]$", one(chromium, "#tip").text)
