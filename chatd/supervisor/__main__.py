"""python -m chatd.supervisor --home HOME [--foreground]"""

import sys

from chatd.supervisor.launch import launch_early

if __name__ == "__main__":
    launched = launch_early()

    from chatd.supervisor.main import main

    sys.exit(main(launched=launched))
