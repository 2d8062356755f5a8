"""`python -m encserve` is `encserve`."""

import sys

from encserve._cli import main

sys.exit(main())
