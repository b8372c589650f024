"""The entry points of chat.pyz and chatctl.pyz, which `chatd client-bundle` and `make dist` write.

Such a file brings every library. Those with machine code are for certain versions of Python only, so that
others get a sentence instead of an ImportError.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

# Have a file of machine code for each version of Python.
_COMPILED = ("pydantic_core", "orjson")


def chat() -> None:
    """Run `chat`."""
    _require_fitting_python()
    from chatctl.chat import main

    main()


def chatctl() -> None:
    """Run `chatctl`."""
    _require_fitting_python()
    from chatctl.cli import main

    main()


def _require_fitting_python() -> None:
    try:
        for name in _COMPILED:
            importlib.import_module(name)
    except ImportError:
        program = sys.argv[0]
        made_for = ", ".join(_versions()) or "another kind of machine"
        sys.exit(
            f"error: {program} was made for Python {made_for}, and this is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}. Run it with one of those: "
            f"python{(_versions() or ['3'])[-1]} {program}"
        )


def _versions() -> list[str]:
    """The versions of Python whose machine code the file brings, such as 3.11."""
    found = importlib.util.find_spec("orjson")
    folder = Path(found.origin).parent if found and found.origin else None
    tags = [re.search(r"cpython-3(\d+)", path.name) for path in folder.glob("*.so")] if folder else []
    return [f"3.{minor}" for minor in sorted({int(tag[1]) for tag in tags if tag})]
