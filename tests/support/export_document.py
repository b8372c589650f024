"""The verifier that docs/export.md gives to outsiders."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


def write_verifier(folder: Path) -> Path:
    """Write the script of the document into ``folder``; return its path."""
    (text,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    path = folder / "verify.py"
    path.write_text(text, "utf-8")
    return path
