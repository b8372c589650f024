"""How this program was called, for advice that is to be pasted."""

from __future__ import annotations

import sys
from pathlib import Path


def called_as(program: str) -> tuple[str, ...]:
    """Return how a person runs ``program``: by its name, or the single file that runs now, with Python."""
    path = Path(sys.argv[0])
    return ("python3", str(path)) if path.suffix == ".pyz" else (program,)
