import sys

from chatd.gateway.main import main

sys.exit(main())
