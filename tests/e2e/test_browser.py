"""The demo's page in a real browser: headless Chromium logs in, calls both services, changes something and
logs out. The browser must hold nothing but cookies."""
import json
import os
import shutil

import pytest
from selenium import webdriver as selenium
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from idp import CRM, ORDERS
from postgres import ROOT
from stack import App, Stack

WAIT_S = 30
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-sync", "--disable-component-update", "--disable-dev-shm-usage", "--window-size=1000,1300",
         "--no-proxy-server")


class Page:
    def __init__(self, driver, stack):
        self.driver, self.stack = driver, stack

    def until(self, ask, what):
        return WebDriverWait(self.driver, WAIT_S, 0.05).until(lambda _: ask(), what)

    def element(self, name):
        return self.driver.find_element(By.ID, name)

    def open(self):
        self.driver.get(self.stack.url("/"))
        return self.state()

    def state(self):
        ask = "return location.origin === arguments[0] && document.body.dataset.state"
        return self.until(lambda: self.driver.execute_script(ask, self.stack.origin()), "the page")

    def call(self, button):
        """Clicks and returns (title, {term: text}) of the new answer."""
        count = "return document.querySelectorAll('#answers article').length"
        before = self.driver.execute_script(count)
        self.element(button).click()
        self.until(lambda: self.driver.execute_script(count) > before, "an answer")
        article = self.driver.find_element(By.CSS_SELECTOR, "#answers article")
        terms = [e.text for e in article.find_elements(By.TAG_NAME, "dt")]
        values = [e.text for e in article.find_elements(By.TAG_NAME, "dd")]
        return article.find_element(By.TAG_NAME, "h3").text, dict(zip(terms, values))

    def log_in(self, user):
        self.element("login").click()
        self.until(lambda: self.driver.current_url.startswith(self.stack.idp.issuer), "the provider")
        self.until(lambda: self.driver.find_elements(By.ID, "user-" + user), "the choice of users")[0].click()
        return self.state()

    def readable(self):
        """All that a script of this origin can get at."""
        return self.driver.execute_async_script("""
            const done = arguments[0];
            (async () => done({
              cookie: document.cookie,
              local: {...localStorage}, session: {...sessionStorage},
              databases: (await indexedDB.databases()).map((d) => d.name),
              caches: 'caches' in window ? await caches.keys() : [],
              workers: 'serviceWorker' in navigator ? (await navigator.serviceWorker.getRegistrations()).length : 0,
              name: window.name, url: location.href, html: document.documentElement.outerHTML,
            }))()""")


@pytest.fixture(scope="module", name="page")
def fixture_page():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "make test-deps installs chromium and chromium-driver"
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    with Stack(edge="caddy", apps=[App("demo", ["app.localhost"])],
               page=os.path.join(ROOT, "tests", "demo", "page")) as stack:
        own = Driver(driver, env=dict(os.environ, TMPDIR=stack.directory))  # what Chromium leaves goes with it
        browser = selenium.Chrome(service=own, options=options)
        try:
            yield Page(browser, stack)
        finally:
            browser.quit()


def screenshot(page, name):
    folder = os.path.join(ROOT, "build", "screenshots")
    os.makedirs(folder, exist_ok=True)
    assert page.driver.save_screenshot(os.path.join(folder, name + ".png"))


def test_a_day_in_the_life_of_the_page(page):
    assert page.open() == "anonymous"
    title, _ = page.call("call-crm")
    assert title.endswith("401")

    assert page.log_in("alice") == "known"
    assert page.driver.current_url == page.stack.url("/")
    assert page.element("name").text == "Alice Adams"
    assert "alice@example.com" in page.element("who").text

    title, crm = page.call("call-crm")
    assert title.endswith("200") and crm["the service is"] == "crm"
    assert crm["token is for"] == CRM and crm["token is of"] == "alice" and crm["X-User-ID"] == "alice"
    title, orders = page.call("call-orders")
    assert title.endswith("200") and orders["token is for"] == ORDERS
    assert "bff_session" not in crm["Cookie"] + orders["Cookie"]

    title, _ = page.call("create-forged")
    assert title == "POST /api/orders/new → 403"
    title, created = page.call("create")
    assert title == "POST /api/orders/new → 200" and created["token is for"] == ORDERS
    screenshot(page, "logged-in")

    seen = page.readable()
    cookies = {c["name"]: c for c in page.driver.get_cookies()}
    assert set(cookies) <= {"bff_session", "bff_csrf", "bff_login", "bff_loop"}
    assert cookies["bff_session"]["httpOnly"] is True and cookies["bff_session"]["sameSite"] == "Lax"
    assert {c.split("=")[0] for c in seen["cookie"].split("; ")} == {"bff_csrf"}
    for place in ("local", "session", "databases", "caches", "workers"):
        assert not seen[place], place
    tokens = page.stack.idp.stats()["refresh_tokens"]
    text = json.dumps(seen)
    assert "eyJ" not in text and not [t for t in tokens if t in text]

    page.element("logout").click()
    page.until(lambda: "bff_session" not in {c["name"] for c in page.driver.get_cookies()}, "the cookie's end")
    page.until(lambda: page.state() == "anonymous", "the way back from the provider")
    assert page.driver.current_url == page.stack.url("/")
    assert "bff_logout" not in {c["name"] for c in page.driver.get_cookies()}
    title, _ = page.call("call-crm")
    assert title.endswith("401")


def test_another_user_after_the_logout(page):
    assert page.open() == "anonymous"
    assert page.log_in("bob") == "known"
    assert page.element("name").text == "Bob Brown"
    _, crm = page.call("call-crm")
    assert crm["token is of"] == "bob" and crm["X-User-Groups"] == "accounting"
    page.stack.pg.psql("select * from bff.revoke_subject('bob', 'left the company')")
    title, _ = page.call("call-crm")
    assert title.endswith("401")
    page.until(lambda: page.state() == "anonymous", "the page that asked again")


def test_the_page_learns_by_itself_that_its_session_ended(page):
    page.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})  # the provider's, too
    assert page.open() == "anonymous"
    assert page.log_in("alice") == "known"
    page.stack.pg.psql("select * from bff.revoke_subject('alice', 'a lost laptop')")
    page.until(lambda: page.state() == "anonymous", "the end of the session")
    assert page.element("anonymous").is_displayed() and not page.element("known").is_displayed()
    page.element("login").click()  # the provider still knows her
    page.until(lambda: page.state() == "known", "the login, after which the page watches again")
    page.driver.switch_to.new_window("tab")
    page.open()
    page.element("logout").click()
    page.until(lambda: page.state() == "anonymous", "the logout in this tab")
    page.driver.close()
    page.driver.switch_to.window(page.driver.window_handles[0])
    page.until(lambda: page.state() == "anonymous", "the logout in the other tab")
