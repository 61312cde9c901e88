"""The conformance suite, over the engine in this process."""

import pytest
from knitfab.contract import DataRules, PlanRules, ProjectionRules, RunRules, Site


@pytest.fixture
def site(embedded_site: Site) -> Site:
    return embedded_site


class TestData(DataRules):
    pass


class TestPlans(PlanRules):
    pass


class TestProjection(ProjectionRules):
    pass


class TestRuns(RunRules):
    pass
