"""The page in a real browser, over the release binary, with real agents at work.

Every page of every test is watched: an error on its console, an exception, or a request to another host fails the test.
AGENTKEEPER_DASHBOARD_DIR=dashboard serves the page's files from that folder instead of those compiled into the binary, so
that a change can be tried without building.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import TimeoutError, expect, sync_playwright

# The daemon as a process, and its calls, are those of the contract tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

from keeper import BINARY, PATIENCE, Daemon, free_ports  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FILES = os.environ.get("AGENTKEEPER_DASHBOARD_DIR")

VIEWS = ["/", "/agents", "/leases", "/elections", "/tasks", "/policies", "/watchers", "/log"]


def pytest_configure(config):
    if not BINARY.is_file():
        pytest.exit(f"there is no daemon at {BINARY}: run `make build`, or set AGENTKEEPER_BIN", returncode=1)
    config.addinivalue_line(
        "markers", "outage: the daemon goes away in this test, which a browser reports on its console"
    )
    config.addinivalue_line(
        "markers", "refusal: something is refused in this test, which is reported on the browser's console"
    )
    expect.set_options(timeout=PATIENCE * 1000)


def serve(arguments=(), ports=None):
    """A daemon, on the ports of one before it if they are given."""
    ports = ports or free_ports(2)
    daemon = Daemon(f"--addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}", *arguments, ports=ports)
    daemon.url = f"http://127.0.0.1:{ports[1]}"
    return daemon


@pytest.fixture
def start():
    """Starts daemons, and stops them after the test."""
    running = []

    def begin(*arguments, ports=None):
        running.append(serve(arguments, ports))
        return running[-1]

    yield begin
    for daemon in running:
        daemon.stop()


@pytest.fixture
def daemon(start):
    return start()


@pytest.fixture
def client(daemon):
    return daemon.client()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        # As root there is no sandbox; what is opened is ours alone.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """What pages did that no page of ours may do."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.complaints = []

    def watch(self, page):
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error.stack}"))
        page.on("console", lambda message: self._console(page, message))
        page.on("request", lambda request: self._request(page, request))

    def _console(self, page, message):
        if page.url.endswith("/nowhere") and "404" in message.text:
            return  # A browser says so of a page that tells it the truth.
        if message.type in ("error", "warning") and not any(text in message.text for text in self.allowed):
            self.complaints.append(f"{page.url}: {message.type}: {message.text}")

    def _request(self, page, request):
        url = urlsplit(request.url)
        if url.scheme != "data" and url.hostname != "127.0.0.1":
            self.complaints.append(f"{page.url}: asked {request.url}")


def from_folder(page, url):
    """Answers for the daemon with a file of the folder, under the daemon's own headers, its policy among them."""
    with urlopen(url) as reply:
        headers = {
            name.lower(): value
            for name, value in reply.headers.items()
            if name.lower() not in ("content-length", "etag")
        }

    def answer(route):
        name = (
            "index.html"
            if route.request.resource_type == "document"
            else urlsplit(route.request.url).path.rsplit("/", 1)[-1]
        )
        kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}[
            Path(name).suffix
        ]
        route.fulfill(status=200, headers=headers | {"content-type": kind}, body=(Path(FILES) / name).read_bytes())

    page.route(lambda each: not urlsplit(each).path.startswith(("/api", "/events")), answer)


@pytest.fixture
def open_page(browser, start, request):
    """Opens pages in contexts of their own; options as of `browser.new_context`. They are closed before the daemons are."""
    allowed = []
    if request.node.get_closest_marker("outage"):
        allowed += [
            "ERR_CONNECTION_REFUSED",
            "ERR_INCOMPLETE_CHUNKED_ENCODING",
            "ERR_CONNECTION_RESET",
            "ERR_EMPTY_RESPONSE",
            "503",
        ]
    if request.node.get_closest_marker("refusal"):
        allowed += ["400", "403", "404", "409", "503", "could not be drawn"]
    watched = Watched(allowed)
    contexts = []

    def begin(url, before=lambda page: None, **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        page = context.new_page()
        watched.watch(page)
        if FILES:
            from_folder(page, url)
        before(page)
        page.goto(url)
        return page

    yield begin
    for context in contexts:
        context.close()
    assert not watched.complaints, "\n".join(watched.complaints)


@pytest.fixture
def page(open_page, daemon):
    """The overview of the daemon."""
    return open_page(daemon.url)


def live(page):
    """Waits until the page has heard the daemon."""
    expect(page.locator("#connection")).to_have_text("Live")
    return page


def try_now(page):
    """Presses the button, unless the page has tried by itself in that moment."""
    with suppress(TimeoutError):
        page.get_by_role("button", name="Try now").click(timeout=2000)


def row(page, text):
    return page.locator(".table-body > .row").filter(has_text=text)
