"""What knitlite adds to Knitfab's answers about plans."""

from knitfab.contract import Site
from knitfab.requests import spec_to_json


def test_equal_plan_is_named(http_site: Site) -> None:
    spec = http_site.spec(active=False)
    plan = http_site.engine.apply_plan(spec)
    answer = http_site.send_json("POST", "/plans", spec_to_json(spec))
    assert answer.status == 409
    assert answer.fields == {"message": "there are equiverent plan", "planId": plan.plan_id}
