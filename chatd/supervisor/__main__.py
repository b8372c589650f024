"""python -m chatd.supervisor --home HOME [--foreground]"""

import sys

from chatd.supervisor.main import main

if __name__ == "__main__":
    sys.exit(main())
