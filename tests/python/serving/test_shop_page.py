"""The shop page in a real browser: choose a user, fill a cart, search, and what it says when something is wrong."""

import re

import pytest
import shop_picture
from conftest import PROJECT
from PIL import Image
from shared.browser import needs_a_browser

from retail_warehouse.serving import predictions_api
from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS

pytestmark = pytest.mark.slow

SECONDS = 15_000  # milliseconds that a busy machine is given


@pytest.fixture
def shop(served, watched):
    """A tab with the page, which has loaded."""
    watched.allowed += (served.api.url + "/",)
    watched.tab.set_default_timeout(SECONDS)
    open_page(watched.tab, served)
    yield watched.tab
    assert watched.seen == []


def open_page(tab, served, token=None):
    tab.goto(f"{served.api.url}/shop#token={token or served.token(READ_PREDICTIONS)}")
    tab.wait_for_selector("#next li")


def names(tab, of: str) -> list[str]:
    return [one.inner_text() for one in tab.query_selector_all(f"#{of} li > div:first-child > div:first-child")]


def next_order(served, user: int) -> dict:
    return served.of().get(f"/users/{user}/next-order").json()


def wait_for(tab, of: str, wanted: list[str]) -> None:
    tab.wait_for_function(
        "([of, wanted]) => { const shown = document.querySelectorAll(`#${of} li > div:first-child > div:first-child`);"
        " return JSON.stringify([...shown].map((one) => one.textContent)) === JSON.stringify(wanted); }",
        arg=[of, wanted],
    )


@needs_a_browser
def test_a_user_is_chosen_and_the_next_order_shown_with_reasons(served, shop):
    order = next_order(served, 7)
    shop.fill("#user", "7")
    shop.press("#user", "Enter")
    wait_for(shop, "basket", [one["product_name"] for one in order["basket"]])
    assert names(shop, "also") == [one["product_name"] for one in order["also_likely"]]
    assert names(shop, "new") == [one["product_name"] for one in order["first_time"]]
    first = shop.query_selector("#basket li, #also li").inner_text()
    best = (order["basket"] + order["also_likely"])[0]
    assert best["why"] in first
    assert f"{round(100 * best['probability'])}\u00a0%" in first
    assert order["model_version"] in shop.inner_text("#about")
    past = [one["product_name"] for one in order["last_orders"][0]["products"]]
    assert [one.inner_text() for one in shop.query_selector_all("#past ul:first-of-type li")] == past
    assert "token" not in shop.url


@needs_a_browser
def test_a_cart_is_filled_and_emptied_and_suggestions_change_at_once(served, shop):
    wait_for(shop, "next", names(shop, "next"))
    added = names(shop, "next")[0]
    shop.click("#next li:first-child button")
    wait_for(shop, "cart", [added])
    shop.wait_for_function("(added) => !document.querySelector('#next').textContent.includes(added)", arg=added)
    assert "cart" in shop.inner_text("#based")
    shop.fill("#search", "e")
    shop.wait_for_selector("#found li")
    found = names(shop, "found")
    at = next(at for at, name in enumerate(found) if name != added)
    shop.click(f"#found li:nth-child({at + 1}) button")
    wait_for(shop, "cart", [added, found[at]])
    assert not shop.is_visible("#cart-empty")
    shop.click("#cart li:first-child button")
    wait_for(shop, "cart", [found[at]])
    shop.click("#empty")
    wait_for(shop, "cart", [])
    assert shop.is_visible("#cart-empty")


@needs_a_browser
def test_products_are_searched_by_name_and_aisle(served, shop):
    product = served.of().get("/products", limit="1").json()["products"][0]
    word = max(re.findall(r"[A-Za-z]{5,}", product["product_name"]), key=len)
    shop.fill("#search", word[:-2] + word[-1])  # a letter is missing
    shop.wait_for_function(
        "(name) => document.querySelector('#found').textContent.includes(name)", arg=product["product_name"]
    )
    shop.select_option("#aisle", product["aisle"])
    shop.wait_for_function(
        "(aisle) => [...document.querySelectorAll('#found .why')].every((one) => one.textContent === aisle)",
        arg=product["aisle"],
    )
    shop.fill("#search", "qqqqqq")
    shop.wait_for_function("() => document.querySelector('#count').textContent === 'No product has such a name.'")
    assert names(shop, "found") == []


@needs_a_browser
def test_keyboard_phone_and_screen_reader(served, shop):
    shop.set_viewport_size({"width": 360, "height": 740})
    assert shop.evaluate("document.documentElement.scrollWidth") <= 360
    small = "[...document.querySelectorAll('button')].filter((one) => one.offsetParent && one.offsetHeight < 40).length"
    assert shop.evaluate(small) == 0
    # By keyboard alone: the first stop leads to the predictions, and a product is put in and out.
    shop.keyboard.press("Tab")
    assert shop.evaluate("document.activeElement.className") == "skip"
    added = names(shop, "next")[0]
    shop.focus("#next li:first-child button")
    shop.keyboard.press("Enter")
    wait_for(shop, "cart", [added])
    shop.wait_for_function("() => document.activeElement.closest('#next') !== null")
    assert added in shop.inner_text("#status")
    shop.focus("#cart button")
    shop.keyboard.press("Space")
    wait_for(shop, "cart", [])
    assert shop.evaluate("document.activeElement.id") == "search"
    # Everything that can be used has a name, every field a label, every part a heading.
    unnamed = shop.evaluate("""() => [...document.querySelectorAll("button, input, select, section")].filter((one) =>
        !(one.getAttribute("aria-label") || one.getAttribute("aria-labelledby") || one.textContent.trim() ||
          (one.labels && one.labels.length))).map((one) => one.outerHTML)""")
    assert unnamed == []
    assert shop.evaluate("""() => [...document.querySelectorAll("#next li")].every((one) =>
        one.querySelector("button").ariaLabel === "Add " + one.firstChild.firstChild.textContent)""")
    assert shop.get_attribute("#alert", "role") == "alert"
    assert shop.get_attribute("html", "lang") == "en"


@needs_a_browser
def test_what_is_wrong_is_told(served, watched):
    tab = watched.tab
    tab.set_default_timeout(SECONDS)
    watched.allowed += (served.api.url + "/",)
    open_page(tab, served)
    tab.fill("#user", "91")
    tab.press("#user", "Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent.startsWith('There is no user 91')")
    assert not tab.is_visible("#of-user")
    assert names(tab, "next"), "a cart without a user is answered"
    tab.fill("#user", "me")
    tab.press("#user", "Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent.startsWith('The number of a user')")
    assert tab.get_attribute("#user", "aria-invalid") == "true"
    # The API is down.
    tab.route("**/*", lambda route: route.abort())
    tab.fill("#user", "7")
    tab.press("#user", "Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent.startsWith('The API does not answer')")
    tab.unroute("**/*")
    tab.press("#user", "Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent === ''")
    tab.wait_for_selector("#basket li, #also li")
    # Without a good token.
    open_wrong = served.token(READ)
    tab.evaluate("(token) => sessionStorage.setItem('token', token)", open_wrong)
    tab.press("#user", "Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent.startsWith('The token of this page')")
    assert all(line.startswith("error: Failed to load resource") for line in watched.seen), watched.seen
    # The watch sees: a request elsewhere is refused by the page itself.
    assert tab.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in line for line in watched.seen)


@needs_a_browser
def test_names_are_never_run(served, shop, monkeypatch):
    evil = "</script><img src=x onerror=alert(1)><b>"
    by_id = served.published.now().shop.products.by_id
    some = next(iter(by_id.values()))
    product = type(some)(some.product_id, evil, evil, some.order_count)
    monkeypatch.setattr(served.published.now().shop, "product", lambda product_id: product)
    shop.click("#nobody")
    shop.wait_for_function("(evil) => document.querySelector('#next').textContent.includes(evil)", arg=evil)
    assert shop.query_selector("#next img, #next b") is None


def test_the_page_asks_nobody_else():
    html = predictions_api.page()
    assert not re.search(r"https?://|//[a-z]|@import|url\(|\bsrc=", html.replace("// ", ""))
    assert len(re.findall("<script", html)) == len(re.findall("<style", html)) == 1
    policy = predictions_api.content_security_policy(html)
    assert policy != predictions_api.content_security_policy(html.replace('"use strict"', '"use strict" '))
    for part in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy


def test_the_picture_is_of_this_page():
    with Image.open(PROJECT / "assets/shop.png") as picture:
        assert picture.text[shop_picture.DIGEST] == shop_picture.digest(), "run `make picture`"
