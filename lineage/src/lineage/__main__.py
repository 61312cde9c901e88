"""python -m lineage is the command knit-mlflow."""

import sys

from .cli import main

sys.exit(main())
