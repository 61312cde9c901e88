"""`python -m imagelock`, for machines where the package is on the path but not installed."""

from __future__ import annotations

import sys

from imagelock.cli import main

sys.exit(main())
