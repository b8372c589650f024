import sys

from chatd.worker.main import main

sys.exit(main())
