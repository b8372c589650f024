import sys

from chatd.nats.main import main

sys.exit(main())
