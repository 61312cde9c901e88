"""The conformance suite of the Engine contract: test classes for pytest. Knows no implementation.

Subclass each as `class TestX(X): pass` and provide a fixture `site` that gives a fresh `Site`. The classes in
ENGINE_RULES need an Engine only, those in HTTP_RULES also its API root.
"""

from knitfab.contract.data_rules import DataRules
from knitfab.contract.error_rules import ErrorRules
from knitfab.contract.form_rules import FormRules
from knitfab.contract.plan_rules import PlanRules
from knitfab.contract.projection_rules import ProjectionRules
from knitfab.contract.run_rules import RunRules
from knitfab.contract.site import Answer, Site, open_site
from knitfab.contract.transfer_rules import TransferRules

ENGINE_RULES = (DataRules, PlanRules, ProjectionRules, RunRules)
HTTP_RULES = (ErrorRules, FormRules, TransferRules)

__all__ = [
    "ENGINE_RULES",
    "HTTP_RULES",
    "Answer",
    "DataRules",
    "ErrorRules",
    "FormRules",
    "PlanRules",
    "ProjectionRules",
    "RunRules",
    "Site",
    "TransferRules",
    "open_site",
]
