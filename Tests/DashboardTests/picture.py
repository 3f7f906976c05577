"""Takes the picture that the README shows: the overview of a real daemon, after a few minutes of an office at work.

usage: picture.py FILE [SECONDS]   with AGENTKEEPER_BIN and AGENTKEEPER_DASHBOARD_DIR as for the tests
"""

import sys
import time

import conftest
from office import Office
from playwright.sync_api import expect, sync_playwright

WIDTH, HEIGHT = 1280, 1000


def main(file, seconds=220):
    daemon = conftest.serve()
    office = Office(daemon.port, silent_for=int(seconds * 0.7))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=conftest.CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            if conftest.FILES:
                conftest.from_folder(page, daemon.url)
            page.goto(daemon.url)
            time.sleep(seconds)
            expect(page.locator(".attention")).to_contain_text("unreachable")
            page.screenshot(path=file)
            browser.close()
    finally:
        office.close()
        daemon.stop()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
