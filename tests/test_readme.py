"""The README does not promise files that are not there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_file_of_the_reading_order_exists() -> None:
    named = re.findall(r"`(reconciler/[\w/.]+)`", (ROOT / "README.md").read_text())
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []
