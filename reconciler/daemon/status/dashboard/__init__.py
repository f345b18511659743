"""The dashboard: one page that reads ``/status`` and nothing else, assembled from the files beside this one.

Its Content-Security-Policy admits this script and this style by their digests, and no other, whatever the names of
resources contain.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from reconciler.output.review import Danger
from reconciler.output.server import Page, PageResponse

STYLES = ("base.css", "parts.css", "topology.css")
# In the order in which they depend on each other; they become one script with its own scope.
SCRIPTS = ("dom.js", "words.js", "state.js", "graph.js", "topology.js", "list.js", "detail.js", "work.js", "poll.js")

DANGERS = "/*dangers*/[]"  # in work.js


def dashboard() -> Page:
    """The page. It is assembled once, and every request gets the same."""
    style = "\n" + "\n".join(_read(name) for name in STYLES)
    dangers = json.dumps([str(danger) for danger in Danger])
    script = "\n(() => {\n'use strict';\n" + "\n".join(_read(name) for name in SCRIPTS) + "})();\n"
    assert DANGERS in script, "the script has no place for the dangers"
    script = script.replace(DANGERS, dangers)
    page = _read("index.html").replace("/*style*/", style).replace("/*script*/", script)
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    answer = PageResponse(page, "text/html; charset=utf-8", headers={"Content-Security-Policy": policy})
    return lambda query: answer


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
