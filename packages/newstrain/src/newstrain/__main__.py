"""`python -m newstrain` is the command newstrain."""

import sys

from newstrain.cli import main

sys.exit(main())
