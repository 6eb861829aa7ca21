"""Workers of pools import this folder's modules."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
