"""``python -m perfsim``."""

import sys

from perfsim.cli import script

sys.exit(script())
