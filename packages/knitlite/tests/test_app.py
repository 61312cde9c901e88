"""The conformance suite, over HTTP."""

import pytest
from knitfab.contract import (
    DataRules,
    ErrorRules,
    FormRules,
    PlanRules,
    ProjectionRules,
    RunRules,
    Site,
    TransferRules,
)


@pytest.fixture
def site(http_site: Site) -> Site:
    return http_site


class TestData(DataRules):
    pass


class TestErrors(ErrorRules):
    pass


class TestForms(FormRules):
    pass


class TestPlans(PlanRules):
    pass


class TestProjection(ProjectionRules):
    pass


class TestRuns(RunRules):
    pass


class TestTransfers(TransferRules):
    pass
