"""The page in headless Chromium: what a hand, a keyboard and a screen reader find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    OpenPage = Callable[..., Page]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def _share(page: Page) -> float:
    return float(page.get_by_role("slider").get_attribute("aria-valuenow") or "nan")


def _worlds(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        ".swipe-world", "nodes => nodes.map(node => node.style.transform)"
    )


def _zoom(page: Page) -> float:
    found = re.search(r"scale\(([0-9.e-]+)\)", _worlds(page)[0])
    assert found
    return float(found[1])


def _centre(item: Locator) -> tuple[float, float]:
    box = item.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_divider_follows_the_mouse(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    divider = page.get_by_role("slider")
    divider.scroll_into_view_if_needed()
    x, y = _centre(divider)
    stage = page.locator(".swipe-stage").bounding_box()
    assert stage is not None
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.25 * stage["width"], y, steps=4)
    page.mouse.up()
    assert abs(_share(page) - 25) <= 1
    clips = page.eval_on_selector_all(
        ".swipe-side", "nodes => nodes.map(node => node.style.clipPath)"
    )
    left = float(re.findall(r"[0-9.]+px", clips[1])[-1][:-2])
    assert abs(left - 0.25 * stage["width"]) <= 2


def test_divider_follows_a_finger(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page, **PHONE)
    divider = page.get_by_role("slider")
    divider.scroll_into_view_if_needed()
    x, y = _centre(divider)
    session = page.context.new_cdp_session(page)
    for kind, place in (("Start", x), ("Move", x + 60), ("Move", x + 100), ("End", None)):
        points = [] if place is None else [{"x": place, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert _share(page) > 70


def test_two_fingers_zoom(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page, **PHONE)
    page.get_by_role("tab").nth(1).click()
    page.get_by_role("button", name="Zoom in").click()
    stage = page.locator(".swipe-stage")
    stage.scroll_into_view_if_needed()
    x, y = _centre(stage)
    before = _zoom(page)
    session = page.context.new_cdp_session(page)
    x -= 80
    for kind, apart in (("Start", 20), ("Move", 40), ("Move", 60), ("End", None)):
        points = (
            []
            if apart is None
            else [{"x": x, "y": y - apart, "id": 1}, {"x": x, "y": y + apart, "id": 2}]
        )
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert _zoom(page) > 2 * before
    assert len(set(_worlds(page))) == 1


def test_divider_follows_the_keys(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    page.get_by_role("slider").focus()
    for key, value in (
        ("ArrowLeft", 48), ("ArrowRight", 50), ("PageUp", 60), ("Home", 0), ("End", 100),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert _share(page) == value


def test_zoom_and_motion_are_the_same_on_both_sides(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    page.get_by_role("tab", name="Most detail").click()
    start = _zoom(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("+")
    assert _zoom(page) == pytest.approx(1.5 * start, rel=1e-4)
    page.keyboard.press("1")
    assert _zoom(page) == 1
    assert page.get_by_role("status", name="Zoom").inner_text() == "100 %"
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    before = _worlds(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("Shift+ArrowRight")
    after = _worlds(page)
    assert after != before
    assert len(set(after)) == 1
    assert _share(page) == 50
    page.keyboard.press("0")
    assert _zoom(page) == pytest.approx(start, rel=1e-4)
    page.keyboard.press("-")
    assert len(set(_worlds(page))) == 1


def test_a_dragged_picture_moves_on_both_sides(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    stage = page.locator(".swipe-stage")
    stage.scroll_into_view_if_needed()
    x, y = _centre(stage)
    page.mouse.move(x + 150, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function("document.querySelector('.swipe-stage.zoomed')")
    before = _worlds(page)
    page.mouse.down()
    page.mouse.move(x + 200, y + 40, steps=3)
    page.mouse.up()
    after = _worlds(page)
    assert before != after
    assert len(set(after)) == 1


def test_both_pictures_lie_on_each_other(open_page: OpenPage, big_page: Path) -> None:
    """An MS pixel of ratio 4 covers four product pixels at the place its data says."""
    page = open_page(big_page)
    page.get_by_role("tab", name="Typical").click()
    boxes = page.eval_on_selector_all(
        ".swipe-world img",
        "nodes => nodes.map(n => [n.naturalWidth, n.getBoundingClientRect().width,"
        " getComputedStyle(n).imageRendering])",
    )
    zoom = _zoom(page)
    (ms, ms_width, rendering), (fused, fused_width, _) = boxes
    assert rendering == "pixelated"
    assert ms_width == pytest.approx(ms * 4 * zoom, abs=0.5)
    assert fused_width == pytest.approx(fused * zoom, abs=0.5)


def test_tabs_by_keyboard(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")
    chosen = page.get_by_role("tab", selected=True)
    assert chosen.inner_text() == "Most detail"
    assert page.evaluate("document.activeElement.textContent") == "Most detail"
    page.keyboard.press("End")
    assert page.get_by_role("tab", selected=True).inner_text() == "Typical"
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text() == "Overview"


def test_order_of_the_tab_key(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    seen = []
    for _ in range(10):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const n = document.activeElement;"
                " return n.getAttribute('aria-label') || n.parentElement.firstChild.textContent"
                " && n.tagName === 'SELECT' && n.parentElement.firstChild.textContent"
                " || n.textContent; })()"
            )
        )
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert seen == [
        "Theme: system", "Overview", "Left", "Right", "Zoom out", "Zoom in",
        "One product pixel to one screen pixel", "Fit the window", "Divider", seen[9],
    ]  # fmt: skip


def test_other_pictures_can_be_chosen(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    left = page.get_by_role("combobox", name="Left")
    assert left.locator("option").all_text_contents() == ["PAN", "MS", "Product"]
    page.get_by_role("tab", name="Darkest").click()
    assert left.locator("option").count() == 4
    left.select_option("pan")
    assert page.get_by_role("group", name="Darkest: PAN beside Product").count() == 1


def test_names_for_those_who_do_not_see(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    tree = page.locator("main").aria_snapshot()
    for line in (
        r'heading "Verdict: .+" \[level=2\]', 'tablist "Windows"', 'tab "Overview" \\[selected\\]',
        'combobox "Left"', 'combobox "Right"', 'button "Zoom in"', 'slider "Divider"',
        'tabpanel "Overview"', 'img "Spectra of Typical: .+"', 'img "Map of ERGAS: .+"',
        'columnheader "product gsa"', "rowheader .ERGAS",
    ):  # fmt: skip
        assert re.search(line, tree), line
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, [role]')].filter(n =>"
        " !(n.textContent.trim() || n.getAttribute('aria-label') ||"
        " n.getAttribute('aria-labelledby'))).length"
    )
    assert nameless == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(open_page: OpenPage, big_page: Path, width: int) -> None:
    page = open_page(big_page, viewport={"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    narrow = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter(n =>"
        " n.getBoundingClientRect().height < 36).length"
    )
    assert narrow == 0


_CONTRAST = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const part = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c.length === 3 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    if (["SCRIPT", "STYLE"].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const ink = parse(node.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), node.tagName, node.textContent.trim().slice(0, 30)]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page: OpenPage, big_page: Path, scheme: str) -> None:
    page = open_page(big_page, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = page.evaluate(_CONTRAST)
    assert len(found) > 100
    assert [item for item in found if item[0] < 4.5] == []


def test_theme_can_be_switched(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert page.evaluate(ground) == "rgb(20, 24, 28)"


def test_on_paper_all_pictures_are_there(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page)
    page.emulate_media(media="print")
    assert page.locator(".swipe-ui").is_hidden()
    assert page.locator(".stills").is_visible()


def test_without_scripts_the_pictures_are_there(open_page: OpenPage, big_page: Path) -> None:
    page = open_page(big_page, java_script_enabled=False)
    assert page.locator(".stills img").first.is_visible()


def test_hostile_names_run_nothing(
    open_page: OpenPage, make_product: Callable[..., Path], tmp_path: Path
) -> None:
    from pansharp.report import product_report

    product = make_product()
    name = "<img src=x onerror=alert(1)>'\"&.tif"
    evil = product.with_name(name)
    product.rename(evil)
    product.with_name("fused.tif.card.json").rename(evil.with_name(name + ".card.json"))
    page = open_page(product_report(evil, tmp_path / "page.html"))
    assert page.get_by_role("heading", level=1).inner_text() == name
    assert page.locator("img[src=x]").count() == 0
