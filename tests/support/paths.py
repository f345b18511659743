"""Where things are in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
EXAMPLES = ROOT / "examples" / "manifests"
QUICKSTART = EXAMPLES / "quickstart"
FIREWALL = EXAMPLES / "firewall"
