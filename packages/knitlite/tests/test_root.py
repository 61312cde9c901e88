"""The folder an engine lives in."""

from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitlite.root import Root, refuse_network_disk

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /home/me/far\\040away rw - nfs4 server:/x rw
31 30 0:41 / /home/me/far\\040away/near rw - tmpfs none rw
"""


def test_a_kill_shows_at_the_next_start(tmp_path: Path) -> None:
    with Root(tmp_path) as root:
        assert not root.was_killed
        root.mark_open()
    root = Root(tmp_path)
    assert not root.was_killed
    root.mark_open()
    root.close(clean=False)
    with Root(tmp_path) as root:
        assert root.was_killed


def test_one_at_a_time(tmp_path: Path) -> None:
    with Root(tmp_path), pytest.raises(KnitError, match="another knitlite"):
        Root(tmp_path)


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/srv/x", False), ("/home/me/far away/x", True), ("/home/me/far away/near/x", False)],
)
def test_network_disks_are_refused(tmp_path: Path, path: str, refused: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    if not refused:
        refuse_network_disk(Path(path), mounts)
        return
    with pytest.raises(KnitError, match="network disk"):
        refuse_network_disk(Path(path), mounts)
