"""Look at the built pages in Chromium: python docs/look.py [docs/_build/html] [--shots FOLDER].

Needs playwright (pip install playwright) and a Chromium: its own, or the system's. Every page is opened from disk at
desktop and phone width, light and dark. A console error, a failed request, one that leaves the machine, an image that
is not drawn, or a page wider than a phone is reported, and the exit status is 1.
"""

import argparse
import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
UNDRAWN = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).map(i => i.src.slice(0, 80))"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
NO_ALT = "[...document.querySelectorAll('main img, article img')].filter(i => !i.alt.trim()).map(i => i.src.slice(-60))"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("html", nargs="?", type=Path, default=Path(__file__).parent / "_build" / "html")
    parser.add_argument("--shots", type=Path, help="also write a screenshot of each page here")
    parser.add_argument("--only", default="", help="only pages whose path holds this")
    options = parser.parse_args()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(options.html.resolve()))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    pages = sorted(p.relative_to(options.html).as_posix() for p in options.html.rglob("*.html"))
    pages = [p for p in pages if options.only in p]
    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width_name, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                at = [""]

                def note(text, at=at, where=f"{width_name}, {scheme}"):
                    faults.append(f"{at[0]} ({where}): {text}")

                page.on("console", lambda m: note(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda e: note(str(e)))
                # A request may be cut off by going on to the next page; a missing file shows as a response.
                page.on("requestfailed", lambda r: None if "ABORTED" in r.failure else note(f"failed: {r.url}"))
                page.on("response", lambda r: note(f"{r.status}: {r.url}") if r.status >= 400 else None)
                page.on("request", lambda r: None if r.url.startswith((home, "data:")) else note(f"leaves: {r.url}"))
                for name in pages if scheme == "light" else [p for p in pages if not p.startswith("reference/")]:
                    at[0] = name
                    page.goto(home + name)
                    for fault in page.evaluate(UNDRAWN):
                        note(f"not drawn: {fault}")
                    for fault in page.evaluate(NO_ALT):
                        note(f"no alt text: {fault}")
                    if page.evaluate(WIDER) > 0:
                        note(f"{page.evaluate(WIDER)} px wider than the screen")
                    if options.shots:
                        options.shots.mkdir(parents=True, exist_ok=True)
                        shot = f"{name.removesuffix('.html').replace('/', '-')}-{width_name}-{scheme}.png"
                        page.screenshot(path=options.shots / shot, full_page=True)
                context.close()
        faults += search(browser, home)
        browser.close()
    print(*faults, f"{len(pages)} pages, {len(faults)} faults", sep="\n")
    return bool(faults)


def search(browser, home):
    page = browser.new_page()
    page.goto(home + "search.html?q=align_corners")
    page.wait_for_selector("#search-results li", timeout=10_000)
    found = page.locator("#search-results li").count()
    return [] if found else ["the search finds no align_corners"]


if __name__ == "__main__":
    sys.exit(main())
