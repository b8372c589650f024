"""List the page's modules in index.html, for browsers to load at once: `python -m tests.tools.preloads`.

Without the list a browser learns of a module only when it has read the one that imports it. The admin page
is left out: it is loaded when somebody opens it.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import chatd.gateway

PAGE = Path(str(resources.files(chatd.gateway) / "page"))
INDEX = PAGE / "index.html"
START = "app/start.js"
# Not `import(...)`, which is loaded later.
_IMPORT = re.compile(r"""^(?:import|export)\b[^;]*?from "([^"]+)";|^import "([^"]+)";""", re.MULTILINE)
_LISTED = re.compile(r'(?: *<link rel="modulepreload" href="[^"]+">\n)*(?= *<script type="module")')


def modules() -> list[str]:
    """Return the modules that the first view needs besides the first one, by name."""
    found, waiting = {START}, [START]
    while waiting:
        path = waiting.pop()
        for match in _IMPORT.finditer((PAGE / path).read_text("utf-8")):
            target = (PAGE / path).parent / next(filter(None, match.groups()))
            name = target.resolve().relative_to(PAGE.resolve()).as_posix()
            if name not in found:
                found.add(name)
                waiting.append(name)
    return sorted(found - {START})


def index_text() -> str:
    """Return index.html with the list as it should be."""
    lines = "".join(f'    <link rel="modulepreload" href="{name}">\n' for name in modules())
    return _LISTED.sub(lines, INDEX.read_text("utf-8"), count=1)


if __name__ == "__main__":
    INDEX.write_text(index_text(), "utf-8")
