"""Plans over the Engine contract: equality, cycles, search, changes, the plan graph."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from knitfab.contract.site import Site
from knitfab.errors import KnitError
from knitfab.records import KNIT_ID, OnNode, Plan, Tag

UNKNOWN = "00000000-0000-4000-8000-00000000dead"


class PlanRules:
    """What can be registered, found and changed."""

    def test_plan_comes_back(self, site: Site) -> None:
        spec = replace(
            site.spec(log=[site.tag("log")], active=False),
            annotations=(("a", "b=c"), ("a", "d")),
            on_node=OnNode(may=(("k", "v"),)),
            service_account="robot",
        )
        plan = site.engine.apply_plan(spec)
        assert plan.spec == spec
        assert site.engine.get_plan(plan.plan_id) == plan

    def test_equal_plan_is_a_conflict(self, site: Site) -> None:
        two = {"/in/a": [site.tag("x"), site.tag("y")], "/in/b": [site.tag("z")]}
        spec = site.spec("true", inputs=two, active=False)
        plan = site.engine.apply_plan(spec)
        same = replace(
            spec,
            inputs=tuple(replace(entry, tags=entry.tags[::-1]) for entry in spec.inputs[::-1]),
            active=True,
            resources={"cpu": "2"},
            annotations=(("other", "note"),),
            service_account="other",
        )
        with pytest.raises(KnitError) as error:
            site.engine.apply_plan(same)
        assert error.value.code == "conflict"
        assert error.value.wire == "there are equiverent plan"
        again = site.engine.get_plan(plan.plan_id)
        assert replace(again, inputs=plan.inputs) == plan
        assert set(again.inputs) == set(plan.inputs)  # Knitfab shows them in any order.

    def test_every_compared_part_makes_another_plan(self, site: Site) -> None:
        spec = site.spec(log=[site.tag("log")], active=False)
        others = [
            replace(spec, image="busybox:other"),
            replace(spec, entrypoint=("sh", "-c", "false")),
            replace(spec, args=spec.args[::-1]),
            replace(spec, inputs=site.spec(inputs={"/in": [site.tag("other")]}).inputs),
            replace(spec, outputs=site.spec(outputs={"/other": [site.tag("out")]}).outputs),
            replace(spec, log=None),
            replace(spec, on_node=OnNode(must=(("k", "v"),))),
        ]
        plans = {site.engine.apply_plan(other).plan_id for other in (spec, *others)}
        assert len(plans) == len(others) + 1

    def test_cycle_through_itself(self, site: Site) -> None:
        with pytest.raises(KnitError) as error:
            site.engine.apply_plan(site.spec(outputs={"/out": [site.tag("in"), site.tag("more")]}))
        assert error.value.code == "conflict"
        assert error.value.wire.startswith("plan spec conflics with others\n caused by:")
        assert "plan's tag dependency makes cycle" in error.value.wire

    def test_cycle_through_the_log(self, site: Site) -> None:
        with pytest.raises(KnitError) as error:
            site.engine.apply_plan(site.spec(log=[site.tag("in")]))
        assert error.value.code == "conflict"

    def test_cycle_through_others(self, site: Site) -> None:
        a, b, c = site.tag("a"), site.tag("b"), site.tag("c")
        site.engine.apply_plan(site.spec(inputs={"/in": [a]}, outputs={"/out": [b]}, active=False))
        site.engine.apply_plan(site.spec(inputs={"/in": [b]}, outputs={"/out": [c]}, active=False))
        with pytest.raises(KnitError) as error:
            site.engine.apply_plan(site.spec(inputs={"/in": [c]}, outputs={"/out": [a]}))
        assert error.value.code == "conflict"

    def test_part_of_the_tags_is_no_cycle(self, site: Site) -> None:
        inputs = {"/in": [site.tag("a"), site.tag("b")]}
        site.engine.apply_plan(site.spec(inputs=inputs, outputs={"/out": [site.tag("a")]}))

    def test_input_by_id_is_no_cycle(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        inputs = {"/in": [site.tag("a"), Tag(KNIT_ID, data.knit_id)]}
        plan = site.engine.apply_plan(site.spec(inputs=inputs, outputs={"/out": [site.tag("a")]}))
        site.wait_run(plan, "done")

    def test_find_by_tags(self, site: Site) -> None:
        a, b = site.tag("a"), site.tag("b")
        one = site.engine.apply_plan(
            site.spec(inputs={"/in/x": [a, b]}, outputs={"/out": [site.tag("c")]}, active=False)
        )
        two = site.engine.apply_plan(
            site.spec(inputs={"/in/x": [a], "/in/y": [b]}, log=[site.tag("d")], active=False)
        )
        ids = {plan.plan_id for plan in site.engine.find_plans(in_tags=[a])}
        assert ids == {one.plan_id, two.plan_id}
        assert [plan.plan_id for plan in site.engine.find_plans(in_tags=[a, b])] == [one.plan_id]
        found = site.engine.find_plans(out_tags=[site.tag("d")])
        assert [plan.plan_id for plan in found] == [two.plan_id]
        assert site.engine.find_plans(out_tags=[Tag(KNIT_ID, "x")]) == []

    def test_find_by_a_tag_that_nobody_has(self, site: Site) -> None:
        """Knitfab ignores a tag that stands nowhere in its database, and returns every plan."""
        if not site.mends:
            pytest.skip("a bug of Knitfab v1.6.1")
        site.engine.apply_plan(site.spec(active=False))
        assert site.engine.find_plans(in_tags=[site.tag("never")]) == []

    def test_find_by_image(self, site: Site) -> None:
        name = f"registry.example:5000/x{site.scope}/y"
        one = site.engine.apply_plan(replace(site.spec(active=False), image=f"{name}:1"))
        two = site.engine.apply_plan(replace(site.spec(active=False), image=f"{name}:2"))
        assert [plan.plan_id for plan in site.engine.find_plans(image=f"{name}:1")] == [one.plan_id]
        both = {plan.plan_id for plan in site.engine.find_plans(image=f"{name}:")}
        assert both == {one.plan_id, two.plan_id}
        assert {plan.plan_id for plan in site.engine.find_plans(image=name)} == both
        assert site.engine.find_plans(image=f"{name}:3") == []

    @pytest.mark.parametrize("image", ["UPPER/case", "x", "knit#uploaded", "y@sha256:0000"])
    def test_find_by_an_image_no_plan_can_have(self, site: Site, image: str) -> None:
        """A search refuses no name; it finds nothing."""
        assert site.engine.find_plans(image=image) == []

    def test_find_by_activeness(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec(active=False))
        tags = [site.tag("in")]
        assert site.engine.find_plans(active=False, in_tags=tags) == [plan]
        assert site.engine.find_plans(active=True, in_tags=tags) == []

    def test_plans_are_listed_by_id_with_pseudo_plans(self, site: Site) -> None:
        site.engine.apply_plan(site.spec(active=False))
        plans = site.engine.find_plans()
        ids = [plan.plan_id for plan in plans]
        assert ids == sorted(ids)
        pseudo = {plan.name: plan for plan in plans if plan.image is None}
        assert set(pseudo) == {"knit#uploaded", "knit#imported"}
        assert [entry.path for entry in pseudo["knit#uploaded"].outputs] == ["/upload"]
        assert [entry.path for entry in pseudo["knit#imported"].outputs] == ["/imported"]
        assert all(plan.active and not plan.inputs for plan in pseudo.values())

    def test_pseudo_plans_can_not_be_switched(self, site: Site) -> None:
        pseudo = next(plan for plan in site.engine.find_plans() if plan.name == "knit#uploaded")
        for active in (True, False):
            with pytest.raises(KnitError) as error:
                site.engine.set_active(pseudo.plan_id, active)
            assert error.value.code == "not_found"

    def test_activeness_is_idempotent(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec(active=False))
        assert site.engine.set_active(plan.plan_id, False).active is False
        assert site.engine.set_active(plan.plan_id, True).active is True
        assert site.engine.set_active(plan.plan_id, True).active is True

    def test_resources(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec(active=False))
        limits = {"cpu": "0.25", "memory": "2048Mi", "nvidia.com/gpu": "1"}
        changed = site.engine.set_resources(plan.plan_id, limits, ["memory", "never"])
        assert changed.resources == {"cpu": "250m", "nvidia.com/gpu": "1"}

    def test_annotations(self, site: Site) -> None:
        plan = site.engine.apply_plan(replace(site.spec(active=False), annotations=(("a", "1"), ("b", "2"))))
        add = [("a", "3"), ("a", "4"), ("c", "")]
        changed = site.engine.annotate(plan.plan_id, add=add, remove=[("b", "2")], remove_keys=["a"])
        assert changed.annotations == (("a", "3"), ("a", "4"), ("c", ""))

    def test_service_account(self, site: Site) -> None:
        plan = site.engine.apply_plan(site.spec(active=False))
        assert site.engine.set_service_account(plan.plan_id, "robot").service_account == "robot"
        assert site.engine.set_service_account(plan.plan_id, None).service_account is None

    def test_links_follow_the_tags(self, site: Site) -> None:
        a, b, c = site.tag("a"), site.tag("b"), site.tag("c")
        maker = site.engine.apply_plan(
            site.spec(inputs={"/in": [a]}, outputs={"/out": [b, c]}, log=[c], active=False)
        )
        user = site.engine.apply_plan(
            site.spec(inputs={"/in": [c]}, outputs={"/out": [site.tag("d")]}, active=False)
        )
        maker = site.engine.get_plan(maker.plan_id)
        assert [link.plan.plan_id for link in maker.outputs[0].downstreams] == [user.plan_id]
        assert maker.log is not None
        assert [link.plan.plan_id for link in maker.log.downstreams] == [user.plan_id]
        upstreams = site.engine.get_plan(user.plan_id).inputs[0].upstreams
        assert {link.plan.plan_id for link in upstreams} == {maker.plan_id}
        assert sorted(link.mountpoint.path if link.mountpoint else "log" for link in upstreams) == [
            "/out",
            "log",
        ]

    def test_input_by_id_has_no_links(self, site: Site) -> None:
        b = site.tag("b")
        site.engine.apply_plan(site.spec(outputs={"/out": [b]}, active=False))
        inputs = {"/in": [b, Tag(KNIT_ID, UNKNOWN)]}
        user = site.engine.apply_plan(
            site.spec(inputs=inputs, outputs={"/out": [site.tag("c")]}, active=False)
        )
        assert user.inputs[0].upstreams == ()

    def test_unknown_plan(self, site: Site) -> None:
        engine = site.engine
        calls: list[Callable[[], Plan]] = [
            lambda: engine.get_plan(UNKNOWN),
            lambda: engine.set_active(UNKNOWN, True),
            lambda: engine.set_resources(UNKNOWN, {"cpu": "1"}),
            lambda: engine.annotate(UNKNOWN, [("a", "b")]),
            lambda: engine.set_service_account(UNKNOWN, "x"),
        ]
        for call in calls:
            with pytest.raises(KnitError) as error:
                call()
            assert error.value.code == "not_found"
