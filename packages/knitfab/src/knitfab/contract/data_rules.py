"""Data over the Engine contract: content, tags, search."""

from datetime import timedelta
from pathlib import Path

import pytest

from knitfab.contract.site import Site
from knitfab.errors import KnitError
from knitfab.records import KNIT_ID, KNIT_TIMESTAMP, KNIT_TRANSIENT, Tag
from knitfab.times import parse_timestamp

UNKNOWN = "00000000-0000-4000-8000-00000000dead"


def _code(error: pytest.ExceptionInfo[KnitError]) -> str:
    return error.value.code


class DataRules:
    """Content and tags."""

    def test_content_comes_back(self, site: Site, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / "deep" / "er").mkdir(parents=True)
        (source / "deep" / "er" / "ünïcode.txt").write_text("hello")
        (source / "empty").write_bytes(b"")
        (source / "script.sh").write_text("#!/bin/sh\n")
        (source / "script.sh").chmod(0o755)
        (source / "link").symlink_to("deep/er")
        data = site.engine.push_data(source, [site.tag("a")])
        target = tmp_path / "target"
        site.engine.pull_data(data.knit_id, target)
        assert (target / "deep" / "er" / "ünïcode.txt").read_text() == "hello"
        assert (target / "empty").read_bytes() == b""
        assert (target / "script.sh").stat().st_mode & 0o100
        assert (target / "link").readlink() == Path("deep/er")

    def test_pull_needs_an_empty_folder(self, site: Site, tmp_path: Path) -> None:
        data = site.push()
        (tmp_path / "mine").write_text("keep")
        with pytest.raises(KnitError) as error:
            site.engine.pull_data(data.knit_id, tmp_path)
        assert _code(error) == "invalid"
        assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]

    def test_pull_of_unknown_leaves_nothing(self, site: Site, tmp_path: Path) -> None:
        with pytest.raises(KnitError) as error:
            site.engine.pull_data(UNKNOWN, tmp_path / "target")
        assert _code(error) == "not_found"
        assert list(tmp_path.iterdir()) == []

    def test_pushed_data_carry_their_tags(self, site: Site) -> None:
        data = site.push(site.tag("b"), site.tag("a"))
        assert data.user_tags == (site.tag("a"), site.tag("b"))
        assert {tag.key for tag in data.tags if tag.is_system} == {KNIT_ID, KNIT_TIMESTAMP}
        assert site.engine.get_data(data.knit_id) == data

    def test_get_unknown_data(self, site: Site) -> None:
        with pytest.raises(KnitError) as error:
            site.engine.get_data(UNKNOWN)
        assert _code(error) == "not_found"

    def test_find_needs_all_tags(self, site: Site) -> None:
        both = site.push(site.tag("a"), site.tag("b"))
        one = site.push(site.tag("a"))
        found = site.engine.find_data([site.tag("a")])
        assert [data.knit_id for data in found] == [both.knit_id, one.knit_id]
        assert site.engine.find_data([site.tag("a"), site.tag("b")]) == [both]
        assert site.engine.find_data([site.tag("a"), site.tag("never")]) == []

    def test_find_by_system_tags(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        site.push(site.tag("a"))
        assert site.engine.find_data([Tag(KNIT_ID, data.knit_id)]) == [data]
        assert site.engine.find_data([Tag(KNIT_ID, data.knit_id), Tag(KNIT_ID, UNKNOWN)]) == []
        assert site.engine.find_data([Tag("knit#colour", "red")]) == []
        assert site.engine.find_data([site.tag("a"), Tag(KNIT_TRANSIENT, "failed")]) == []

    def test_find_by_shown_timestamp(self, site: Site) -> None:
        """Knitfab compares microseconds that it does not show; a mended engine finds what it shows."""
        if not site.mends:
            pytest.skip("Knitfab v1.6.1 practically never matches")
        data = site.push(site.tag("a"))
        shown = next(tag for tag in data.tags if tag.key == KNIT_TIMESTAMP)
        assert site.engine.find_data([site.tag("a"), shown]) == [data]

    def test_find_in_a_window(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        stamp = parse_timestamp(next(tag.value for tag in data.tags if tag.key == KNIT_TIMESTAMP))
        tags, second = [site.tag("a")], timedelta(seconds=1)
        assert site.engine.find_data(tags, since=stamp) == [data]
        assert site.engine.find_data(tags, since=stamp + second) == []
        assert site.engine.find_data(tags, since=stamp - second, duration=2 * second) == [data]
        assert site.engine.find_data(tags, since=stamp - second, duration=second) == []

    def test_removals_come_before_additions(self, site: Site) -> None:
        a, b, c = site.tag("a"), site.tag("b"), Tag("other", site.scope)
        data = site.push(a, b, c)
        changed = site.engine.tag_data(data.knit_id, add=[a], remove_keys=["contract"])
        assert changed.user_tags == (a, c)
        assert site.engine.tag_data(data.knit_id, remove=[c]).user_tags == (a,)

    def test_repeated_changes_change_nothing(self, site: Site) -> None:
        data = site.push(site.tag("a"))
        again = site.engine.tag_data(data.knit_id, add=[site.tag("a")], remove=[site.tag("never")])
        assert again.tags == data.tags
        assert again.upstream.run.updated_at == data.upstream.run.updated_at

    def test_many_values_of_one_key(self, site: Site) -> None:
        data = site.push()
        tags = [site.tag(f"{number:03}") for number in range(100)]
        assert list(site.engine.tag_data(data.knit_id, add=tags).user_tags) == tags

    def test_long_and_odd_tags(self, site: Site) -> None:
        odd = [
            Tag("k" * 1024, "v"),
            Tag("empty", ""),
            Tag("colons", "a:b:c"),
            Tag("日本", "語 <&> %2F"),
            Tag("long", "v" * 100_000),
        ]
        data = site.push()
        changed = site.engine.tag_data(data.knit_id, add=odd)
        assert set(changed.user_tags) == set(odd)
        assert [found.knit_id for found in site.engine.find_data([odd[3], Tag(KNIT_ID, data.knit_id)])] == [
            data.knit_id
        ]

    @pytest.mark.parametrize("value", ['quo"te', "back\\slash", "tab\there", "line\nfeed"])
    def test_poison_tags_are_refused(self, site: Site, value: str) -> None:
        """Knitfab takes them and can then show nothing any more."""
        data = site.push()
        with pytest.raises(KnitError) as error:
            site.engine.tag_data(data.knit_id, add=[Tag("contract", value)])
        assert _code(error) == "invalid"
        assert site.engine.get_data(data.knit_id).user_tags == ()

    def test_system_tags_are_refused(self, site: Site) -> None:
        data = site.push()
        for add, remove in (
            ([Tag(KNIT_ID, "x")], []),
            ([], [Tag(KNIT_ID, data.knit_id)]),
            ([], [Tag("knit#colour", "x")]),
        ):
            with pytest.raises(KnitError) as error:
                site.engine.tag_data(data.knit_id, add, remove)
            assert _code(error) == "invalid"
        with pytest.raises(KnitError) as error:
            site.engine.tag_data(data.knit_id, remove_keys=["knit#id"])
        assert _code(error) == "invalid"

    def test_tags_of_unknown_data(self, site: Site) -> None:
        with pytest.raises(KnitError) as error:
            site.engine.tag_data(UNKNOWN, add=[site.tag("a")])
        assert _code(error) == "not_found"
        if site.mends:  # Knitfab answers 500 when there are only removals.
            with pytest.raises(KnitError) as error:
                site.engine.tag_data(UNKNOWN, remove=[site.tag("a")])
            assert _code(error) == "not_found"
