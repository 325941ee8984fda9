"""The served page in a real browser: it renews itself, and what was chosen stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_files import World, write_sweep
from selenium.webdriver.support.ui import Select, WebDriverWait

from hpcfed.watch.page import LivePage, serving


@pytest.fixture
def online(browser: Any) -> Iterator[Any]:
    """Yield the driver, which may speak to this machine; the console must stay clean."""
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **network})
    for log in ("browser", "performance"):
        browser.get_log(log)
    yield browser
    errors = browser.get_log("browser")
    browser.get("data:,")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **network})
    assert errors == []


def world(rounds: int, seed: int) -> World:
    accuracy = [0.1 * (index + 1) for index in range(rounds)]
    return World(test=accuracy, seed=seed, status="running", sets=["server.rounds=9"])


def one(driver: Any, css: str) -> Any:
    return driver.find_element("css selector", css)


def rows(driver: Any) -> list[str]:
    return [row.text for row in driver.find_elements("css selector", "#table tbody tr")]


def until(driver: Any, condition: Any) -> Any:
    from selenium.common.exceptions import StaleElementReferenceException

    gone = [StaleElementReferenceException]  # of the page before
    return WebDriverWait(driver, 60, 0.1, ignored_exceptions=gone).until(condition)


def test_the_page_renews_itself_and_keeps_what_was_chosen(online: Any, tmp_path: Path) -> None:
    write_sweep(tmp_path, [world(2, 0), world(2, 1)], missing=[world(2, 2)])
    page = LivePage(tmp_path)
    with serving(tmp_path, page=page) as address:
        online.get(address)
        assert all("2 of 9" in row for row in rows(online))
        Select(one(online, "select[data-key='seed']")).select_by_value("1")
        Select(one(online, "#over")).select_by_value("uplink")
        one(online, "#average").click()
        one(online, "#find").send_keys("runs/0")
        one(online, "#what details summary").click()
        head = next(cell for cell in online.find_elements("css selector", "#table th button")
                    if cell.text == "seed")  # fmt: skip
        head.click()
        one(online, "#table th[aria-sort] button").click()  # the second click: descending
        one(online, "#find").send_keys("0")
        online.execute_script("scrollTo(0, 120)")
        write_sweep(tmp_path, [world(3, 0), world(2, 1), world(1, 2)])
        page._rest = 0.0  # as if the page had been made long ago
        until(online, lambda driver: len(rows(driver)) == 3)
        until(online, lambda driver: "renews itself" in one(driver, "#live").text)
        assert "3 of 9" in rows(online)[2]  # seed 0 comes last
        assert one(online, "select[data-key='seed']").get_attribute("value") == "1"
        assert one(online, "#over").get_attribute("value") == "uplink"
        assert not one(online, "#average").is_selected()
        assert one(online, "#find").get_attribute("value") == "runs/00"
        assert one(online, "#what details").get_attribute("open") is not None
        assert online.switch_to.active_element.get_attribute("id") == "find"
        assert online.execute_script("return scrollY") == 120
        assert "1 of 3 runs" in one(online, "#curve-note").text
        asked = [json.loads(line["message"])["message"] for line in online.get_log("performance")]
        urls = {m["params"]["request"]["url"] for m in asked
                if m["method"] == "Network.requestWillBeSent"}  # fmt: skip
        assert {url for url in urls if not url.startswith("data:")} == {
            address, f"{address}version"
        }  # fmt: skip


def test_a_page_that_waits_becomes_the_report(online: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = LivePage(out)
    with serving(out, page=page) as address:
        online.get(address)
        assert "no such file or folder" in one(online, "body").text
        write_sweep(out, [world(1, 0), world(1, 1)])
        page._rest = 0.0
        until(online, lambda driver: driver.find_elements("css selector", "#table"))


def test_when_the_server_has_ended_the_page_stays_and_says_so(browser: Any, tmp_path: Path) -> None:
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **network})
    write_sweep(tmp_path, [world(2, 0), world(2, 1)])
    with serving(tmp_path) as address:
        browser.get(address)
    until(browser, lambda driver: "has ended" in one(driver, "#live").text)
    assert len(rows(browser)) == 2
    browser.get("data:,")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **network})
