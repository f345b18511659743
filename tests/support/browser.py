"""A real browser for tests: headless Chromium, found or installed by ``make browser``.

It is asked what a person would see: a page is put into a frame of some width, and a script beside the frame, not in
it, reports what was laid out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "RECONCILE_REQUIRE_BROWSER"
QUIET = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-sync", "--hide-scrollbars", *QUIET)
DARK = "--blink-settings=preferredColorScheme=0"

_PROBE = """
const frame = document.querySelector('iframe');
function channels(colour) { return (colour.match(/[\\d.]+/g) || []).map(Number); }
function luminance(colour) {
  const [r, g, b] = channels(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element, style) {
  for (let each = element; each; each = each.parentElement) {
    const colour = style(each).backgroundColor;
    if ((channels(colour)[3] ?? 1) > 0) return colour;
  }
  return 'rgb(255, 255, 255)';
}
frame.addEventListener('load', () => {
  const page = frame.contentDocument, view = frame.contentWindow, style = each => view.getComputedStyle(each);
  const root = page.documentElement;
  const words = [...page.body.querySelectorAll('*')].filter(each =>
    [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && !each.closest('svg'));
  const contrasts = words.map(each => {
    const [a, b] = [luminance(style(each).color), luminance(behind(each, style))].sort((x, y) => y - x);
    return {text: each.textContent.slice(0, 40), ratio: (a + 0.05) / (b + 0.05)};
  });
  const boxes = [...page.querySelectorAll('svg g.box')].map(box => {
    const rect = box.querySelector('rect').getBBox();
    return {text: box.textContent, over: Math.max(...[...box.querySelectorAll('text')].map(line => {
      const at = line.getBBox();
      return Math.max(at.x + at.width - rect.x - rect.width, at.y + at.height - rect.y - rect.height);
    }))};
  });
  document.querySelector('pre').textContent = JSON.stringify({
    text: page.body.innerText, title: page.title, paper: style(page.body).backgroundColor,
    width: root.scrollWidth, room: root.clientWidth,
    contrasts, boxes,
    outside: words.filter(each => !each.closest('.scroll') && each.getBoundingClientRect().right > root.clientWidth + 1)
      .map(each => each.textContent.slice(0, 80)),
    asked: view.performance.getEntriesByType('resource').map(each => each.name),
    strange: page.querySelectorAll('script, img, iframe, [onerror], [onmouseover]').length,
  });
});
frame.srcdoc = document.querySelector('textarea').value;
"""


def require() -> str:
    """The browser; where there is none the test is skipped, or fails if one is required."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        reason = "no browser to test with: run 'make browser', or install chromium"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason} ({REQUIRED} is set)")
        pytest.skip(reason)
    return found


def run(folder: Path, *words: str) -> str:
    """What Chromium prints, started anew with an empty profile in the folder."""
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [require(), *FLAGS, f"--user-data-dir={profile}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def seen(folder: Path, page: str, width: int, *flags: str) -> dict[str, Any]:
    """What a person sees of a page in a window of that width."""
    probe = folder / "probe.html"
    frame = f'<iframe style="border: 0; width: {width}px; height: 900px"></iframe>'
    source = f"<textarea hidden>\n{escape(page)}</textarea>"
    # The meta line is first, so that the page's text is read as what it was written in.
    probe.write_text(f'<!DOCTYPE html><meta charset="utf-8"><pre></pre>{frame}{source}<script>{_PROBE}</script>')
    dom = run(folder, "--virtual-time-budget=10000", "--dump-dom", *flags, probe.as_uri())
    found = re.search(r"<pre>(.+?)</pre>", dom, re.DOTALL)
    assert found, "the page was not laid out"
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer
