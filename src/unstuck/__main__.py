"""``python -m unstuck``."""

import sys

from unstuck.cli.main import main

sys.exit(main())
