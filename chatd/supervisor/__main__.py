"""python -m chatd.supervisor --home HOME [--foreground]"""

import sys

from chatd.supervisor.launch import HUB_MODULE, WORKER_MODULE, launch

if __name__ == "__main__":
    # At the same time as what follows: both take as long, and a killed server waits for both.
    launched = None
    try:
        launched = launch((HUB_MODULE, WORKER_MODULE))
    except OSError:
        pass  # the supervisor tries again and says why

    from chatd.supervisor.main import main

    sys.exit(main(launched=launched))
