"""Draws the picture of the shop page for the README, in the browser of the system, from what `make predictions` made.

Run by `make picture` as `python tools/shop_picture.py FILE`. The picture carries the digest of the page and of the
answers that it shows, so that a test tells when it is out of date.
"""

import hashlib
import io
import json
import signal
import socket
import subprocess
import sys

from dashboard_picture import INSTALL, browser, find_browser
from PIL import Image, PngImagePlugin

from retail_warehouse.serving import predictions_api

DIGEST = "shop"
WIDTH, HEIGHT = 1280, 900


def digest() -> str:
    """Of the page, and of what its answers consist of."""
    answers = (predictions_api.NextOrderOut, predictions_api.CartOut, predictions_api.ProductsOut)
    shapes = [answer.model_json_schema() for answer in answers]
    return hashlib.sha256((predictions_api.page() + json.dumps(shapes, sort_keys=True)).encode()).hexdigest()


def main() -> None:
    """Write the picture to the file that the argument names."""
    if find_browser() is None:
        sys.exit(INSTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-u", "-m", "retail_warehouse", "shop", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:
        try:
            address = next(line.strip() for line in iter(shop.stdout.readline, "") if "#token=" in line)
            drawn = picture(address)
        finally:
            shop.send_signal(signal.SIGTERM)
    info = PngImagePlugin.PngInfo()
    info.add_text(DIGEST, digest())
    drawn.convert("RGB").quantize(128).save(sys.argv[1], pnginfo=info, optimize=True)
    print(f"Wrote {sys.argv[1]}")


def picture(address: str) -> Image.Image:
    """The page with a user and two products in the cart."""
    with browser() as started:
        tab = started.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(address)
        for count in (1, 2):
            tab.wait_for_selector("#basket li:nth-child(2) button")
            tab.click(f"#basket li:nth-child({count}) button")
            tab.wait_for_selector(f"#cart li:nth-child({count})")
        tab.wait_for_load_state("networkidle")
        tab.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        return Image.open(io.BytesIO(tab.screenshot()))


if __name__ == "__main__":
    main()
