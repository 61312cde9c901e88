"""Binds the name `lineage` to the package before pytest binds it to this folder of the same name.

In importlib mode pytest names test modules after their folders (`lineage.tests.…`) and imports the first
part from the folder.
"""

import importlib
import sys

sys.modules.pop("lineage", None)
importlib.import_module("lineage")
