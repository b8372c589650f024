import sys

from chatd.hub.main import main

sys.exit(main())
