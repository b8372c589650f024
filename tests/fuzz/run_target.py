"""Run one target under atheris: ``python -m tests.fuzz.run_target NAME CORPUS [OPTION OF LIBFUZZER]...``.

With the name of a file instead of the folder CORPUS it runs that input once.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

# CPU time of one execution, far above what any input needs: more is unbounded work.
WORK_SECONDS = 2.0


def main() -> None:
    """Instrument the programs, import the target, fuzz it until libFuzzer ends the process."""
    atheris: Any = importlib.import_module("atheris")
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["chatd", "chatctl"]):
        table = importlib.import_module("tests.fuzz.targets")
        row = table.TARGETS[name]
        target = row.function(name)
    # Made here and not by the parent: they contain certificates and logs that only this process knows.
    corpus = Path(sys.argv[1])
    if corpus.is_dir():
        for number, data in enumerate(row.inputs(name)):
            (corpus / f"seed-{number}").write_bytes(data)

    def one_input(data: bytes) -> None:
        began = time.thread_time()
        target(data)
        spent = time.thread_time() - began
        assert spent < WORK_SECONDS, f"{spent:.1f} s of CPU time for one input"

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
