"""A page in a real browser. It records what the page must never do."""

import os

import dashboard_picture
import pytest

needs_a_browser = pytest.mark.skipif(
    dashboard_picture.find_browser() is None and not os.environ.get("BROWSER_REQUIRED"),
    reason=f"THE DASHBOARD IS NOT TESTED IN A BROWSER: {dashboard_picture.INSTALL}",
)


class Watched:
    """A browser tab that records requests to others, errors and dialogs."""

    def __init__(self, tab):
        self.tab, self.seen = tab, []
        self.allowed: tuple[str, ...] = ("file:", "data:", "blob:")
        tab.on("request", self._request)
        tab.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        tab.on("console", lambda message: self.seen.append(f"{message.type}: {message.text}"))
        tab.on("dialog", lambda dialog: (self.seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _request(self, request):
        if not request.url.startswith(self.allowed):
            self.seen.append(f"request: {request.url}")

    def open(self, path):
        dashboard_picture.open_drawn(self.tab, path)
        return self.tab
