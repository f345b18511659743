"""Hooks of MkDocs (``mkdocs.yml``): the site also has what lies outside ``docs``, JSON Schemas and ``CONTRIBUTING.md``.

Links are written as the files lie in the repository, so that they work there too. In the site the schemas are a folder
beside the pages, and ``contributing.md`` is a page beside the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BESIDE_README = ("CONTRIBUTING.md", "SECURITY.md", "LICENSE")


def on_files(files: Any, config: Any) -> Any:
    """Add every schema, below ``schemas``, and the files of ``BESIDE_README`` under their names in lower case."""
    from mkdocs.structure.files import File

    for name in BESIDE_README:
        files.append(File.generated(config, name.lower(), abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "schemas").rglob("*.json")):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to where the site has what they lead to."""
    for name in BESIDE_README:
        markdown = markdown.replace(f"]({name})", f"]({name.lower()})")
    return markdown.replace("](../../schemas/", "](../schemas/").replace("](docs/", "](")
