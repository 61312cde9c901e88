"""Lists as text against records, for tags on both sides of the engine's own; all else: test_planning.py."""

import json
from pathlib import Path

from knitfab.jsonvalue import render_text
from knitfab.records import Tag
from knitfab.wire import data_to_json
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.runners.held import HeldRunner

BEFORE = ("A:upper", "knit:", "knit:#id:x", "knit!:x")
AFTER = ("knit$:x", "knitting:x", "z:<&>\u2028\U0001f600", "\u00e9:x", "\U0001f600:x")


def test_own_tags_stand_among_the_users_in_bytewise_order(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    tags = [Tag.parse(text) for text in (*AFTER, *BEFORE)]
    with EmbeddedEngine.open(EngineSettings(tmp_path / "root", HeldRunner())) as engine:
        for chosen in ([], tags[:1], tags[-1:], tags):
            engine.push_data(tmp_path / "content", chosen)
        items = engine.find_data_json()
        assert items == [render_text(data_to_json(data)) for data in engine.find_data()]
    shown = json.loads(items[-1])["tags"]
    assert [tag for tag in shown if not tag.startswith("knit#")] == [str(tag) for tag in sorted(tags)]
    assert [tag.partition(":")[0] for tag in shown[len(BEFORE) :][:2]] == ["knit#id", "knit#timestamp"]
