"""Tests import their helpers by name: with --import-mode=importlib the folder is not on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
