"""Draws the README's picture of the dashboard, with the system's Chromium, from the warehouse of `make build`.

Run by `make picture` as `python tools/dashboard_picture.py FILE`. The picture carries the digest of what the page
shows, so that a test tells when it is out of date.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Browser, Page, sync_playwright

from retail_warehouse.dashboard import page, source

INSTALL = "There is no Chromium. On Debian or Ubuntu: apt-get install chromium"
DIGEST = "dashboard"
WIDTH, HEIGHT = 1280, 1500


def find_browser() -> str | None:
    """Path of the system's Chromium, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        # Containers have neither a sandbox nor much shared memory.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        try:
            yield started
        finally:
            started.close()


def open_drawn(tab: Page, path: Path) -> None:
    """Open a dashboard from disk and wait until its charts are drawn."""
    tab.goto(path.resolve().as_uri())
    tab.wait_for_selector("html[data-drawn]", state="attached", timeout=60_000)


def main() -> None:
    """Write the picture to the file that the argument names."""
    if find_browser() is None:
        sys.exit(INSTALL)
    data = source.read()
    # Neither says anything about the page, and both change with each build.
    data.last_run, data.rows["builds"] = {}, []
    with tempfile.TemporaryDirectory() as folder, browser() as started:
        path = Path(folder) / "dashboard.html"
        path.write_text(page.render(data), encoding="utf-8")
        tab = started.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        open_drawn(tab, path)
        drawn = Image.open(io.BytesIO(tab.screenshot()))
    info = PngImagePlugin.PngInfo()
    info.add_text(DIGEST, page.content_digest(data))
    # As many colours as it has; a fifth of the size.
    drawn.convert("RGB").quantize(256).save(sys.argv[1], pnginfo=info, optimize=True)
    print(f"Wrote {sys.argv[1]}")


if __name__ == "__main__":
    main()
