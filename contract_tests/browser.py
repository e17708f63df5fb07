"""A headless Chromium with the network closed: what it asks of any other host is stopped and told."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, WebSocketRoute, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = (
    ("apt-get", "update", "-qq"),
    ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"),
)
QUIET = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class Visit:
    """A page being looked at, the addresses it asked for outside its own host and port, and its console's errors."""

    page: Page
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def open_page(url: str, width: int = 1440, height: int = 900) -> Iterator[Visit]:
    """Opens `url` in a fresh profile; every request to another host or port is aborted and stands in `outside`."""
    home = urlsplit(url).netloc
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="zh-CN", service_workers="block"
        )
        context.set_default_timeout(60_000)
        visit = Visit(context.new_page())

        def stop_or_pass(route: Route) -> None:
            address = route.request.url
            if urlsplit(address).netloc == home:
                route.continue_()
            else:
                visit.outside.append(address)
                route.abort()

        def stop(socket: WebSocketRoute) -> None:
            visit.outside.append(socket.url)

        context.route("**/*", stop_or_pass)
        context.route_web_socket(lambda address: urlsplit(address).netloc != home, stop)
        context.on("console", lambda said: visit.complaints.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda thrown: visit.complaints.append(str(thrown.error)))
        try:
            visit.page.goto(url)
            yield visit
        finally:
            context.close()
            browser.close()


def find_chromium() -> str:
    """The path of a Chromium; installs Debian's where that is possible, and says what to install where it is not."""
    if found := _on_path():
        return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        for command in INSTALL:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if found := _on_path():
            return found
    raise RuntimeError(
        f"no browser found: install Chromium (Debian: apt-get install chromium); looked for {', '.join(NAMES)}"
    )


def _on_path() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
