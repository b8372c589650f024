import sys

from chatd.enrol.main import main

sys.exit(main())
