"""Hooks of MkDocs (``mkdocs.yml``): the JSON Schemas, which lie outside ``docs``, are part of the site.

A page links to a schema as it lies in the repository (``../../schemas/X``), so that the link works there too; in the
site the schemas are a folder beside the pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def on_files(files: Any, config: Any) -> Any:
    """Add every schema, below ``schemas``."""
    from mkdocs.structure.files import File

    for path in sorted((ROOT / "schemas").rglob("*.json")):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to schemas at the site's folder."""
    return markdown.replace("](../../schemas/", "](../schemas/")
