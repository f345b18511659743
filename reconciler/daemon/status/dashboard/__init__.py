"""The dashboard: one page that needs nothing but ``/status``. The files beside this one, put together when served.

The page says in its headers, by digest, which script and which style are its own: a browser runs no other, whatever
the names of resources hold.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from reconciler.output.server import Answer, Page

STYLES = ("base.css", "parts.css", "topology.css")
# In the order in which they need each other; all are one script, and none of its names is seen outside.
SCRIPTS = ("dom.js", "words.js", "state.js", "graph.js", "topology.js", "list.js", "detail.js", "work.js", "poll.js")


def dashboard() -> Page:
    """The page, put together once."""
    style = "\n" + "\n".join(_read(name) for name in STYLES)
    script = "\n(() => {\n'use strict';\n" + "\n".join(_read(name) for name in SCRIPTS) + "})();\n"
    page = _read("index.html").replace("/*style*/", style).replace("/*script*/", script)
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    answer = Answer(page, "text/html; charset=utf-8", headers={"Content-Security-Policy": policy})
    return lambda query: answer


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
