"""The conformance suite, run against knitlite over HTTP or against a real Knitfab (KNITFAB_URL)."""

from knitfab.contract import (
    DataRules,
    ErrorRules,
    FormRules,
    PlanRules,
    ProjectionRules,
    RunRules,
    TransferRules,
)


class TestErrors(ErrorRules):
    pass


class TestForms(FormRules):
    pass


class TestTransfers(TransferRules):
    pass


class TestData(DataRules):
    pass


class TestPlans(PlanRules):
    pass


class TestProjection(ProjectionRules):
    pass


class TestRuns(RunRules):
    pass
