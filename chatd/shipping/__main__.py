import sys

from chatd.shipping.main import main

sys.exit(main())
