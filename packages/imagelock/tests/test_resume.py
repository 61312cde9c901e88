"""Fetching over HTTP from a local index that breaks off: a real pip's settings, a real server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from imagelock.aptsource import AptSource
from imagelock.errors import ImageError
from imagelock.fetch import fetch
from imagelock.inputs import InputCache
from imagelock.lockfile import Lock, LockedWheel
from imagelock.resume import partial_path
from imagelock.samples import TinyTree, lock_deb, lock_wheel, make_deb, make_wheel, sha256
from imagelock.samplesite import Site, serving

SIZE = 3_000_000
CUT = 1_000_000


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of three megabytes that do not compress."""
    folder = tmp_path / "made"
    folder.mkdir()
    return make_wheel(folder, "bigpkg", "1.0", {"bigpkg.bin": random.Random(1).randbytes(SIZE)})


@pytest.fixture
def row(wheel: Path) -> LockedWheel:
    """Its row of a lock."""
    return lock_wheel(wheel)


@pytest.fixture
def lock(tree: TinyTree, row: LockedWheel) -> Lock:
    """A lock that wants this wheel alone."""
    return replace(tree.lock(), debs=(), wheels=(row,))


@pytest.fixture
def cache(tmp_path: Path) -> InputCache:
    """An empty cache."""
    return InputCache(tmp_path / "new-cache" / "inputs")


@pytest.fixture
def site(wheel: Path, row: LockedWheel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An index with the wheel; this machine's pip is told of no other."""
    page = f'<a href="/files/{wheel.name}#sha256={row.sha256}">{wheel.name}</a>'
    files = {"/simple/bigpkg/": page.encode(), f"/files/{wheel.name}": wheel.read_bytes()}
    with serving(Site(files, {f"/files/{wheel.name}": '"v1"'})) as running:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"{running.address}/simple")
        yield running


def begin(cache: InputCache, row: LockedWheel, data: bytes, validator: str = "") -> None:
    """Leave the beginning of a file behind, as an interrupted fetch does."""
    part = partial_path(cache, row)
    part.parent.mkdir(parents=True)
    part.write_bytes(data)
    if validator:
        part.with_name(f"{part.name}.validator").write_text(validator)


def test_a_cut_connection_is_continued_in_the_same_call(site: Site, lock: Lock, cache: InputCache) -> None:
    site.cut_after, site.cuts_left = CUT, 2
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == ["", f"bytes={CUT}-", f"bytes={2 * CUT}-"]
    assert cache.find(lock.wheels[0])
    assert not list((cache.folder / "partial").iterdir())


def test_a_later_call_goes_on_from_the_byte_reached(
    site: Site, lock: Lock, cache: InputCache, wheel: Path
) -> None:
    begin(cache, lock.wheels[0], wheel.read_bytes()[:CUT], '"v1"')
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == [f"bytes={CUT}-"]


def test_a_server_that_stays_away_is_named_with_the_bytes_kept(
    site: Site, lock: Lock, cache: InputCache
) -> None:
    site.busy.add(f"/files/{lock.wheels[0].file}")
    begin(cache, lock.wheels[0], site.files[f"/files/{lock.wheels[0].file}"][:CUT], '"v1"')
    with pytest.raises(
        ImageError, match=rf"broke off after {CUT} of \d+ bytes \(HTTP 502\).*goes on from there"
    ) as found:
        fetch(lock, "3.11", cache)
    assert found.value.code == "unreachable"
    assert partial_path(cache, lock.wheels[0]).stat().st_size == CUT


def test_a_server_without_ranges_sends_all_again(site: Site, lock: Lock, cache: InputCache) -> None:
    site.ranges = False
    site.cut_after, site.cuts_left = CUT, 1
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == ["", f"bytes={CUT}-"]
    assert cache.find(lock.wheels[0])


def test_a_file_changed_on_the_server_is_not_glued_to_the_old_beginning(
    site: Site, lock: Lock, cache: InputCache
) -> None:
    """The beginning is of a version the server no longer has: If-Range brings the whole file."""
    begin(cache, lock.wheels[0], bytes(CUT), '"v0"')
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == [f"bytes={CUT}-"]
    assert cache.find(lock.wheels[0])


def test_a_server_that_hides_the_change_is_found_out_by_the_hash(
    site: Site, lock: Lock, cache: InputCache
) -> None:
    site.heeds_if_range = False
    begin(cache, lock.wheels[0], bytes(CUT), '"v0"')
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == [f"bytes={CUT}-", ""]
    assert cache.find(lock.wheels[0])


def test_a_replaced_file_is_refused(site: Site, lock: Lock, cache: InputCache) -> None:
    """The index still tells the locked hash, the server has other bytes of the same length."""
    path = f"/files/{lock.wheels[0].file}"
    site.files[path] = site.files[path][:-1] + b"?"
    with pytest.raises(ImageError, match=r"has sha256 .* the lock says") as found:
        fetch(lock, "3.11", cache)
    assert found.value.code == "corrupt"
    assert cache.find(lock.wheels[0]) is None
    assert not list((cache.folder / "partial").iterdir())


@pytest.mark.parametrize("extra", [0, 7])
def test_a_beginning_as_long_as_the_file_or_longer(
    site: Site, lock: Lock, cache: InputCache, extra: int
) -> None:
    begin(cache, lock.wheels[0], bytes(lock.wheels[0].size + extra))
    fetch(lock, "3.11", cache)
    assert site.asked_ranges(".whl") == [""]
    assert cache.find(lock.wheels[0])


def test_pips_credentials_reach_the_download(
    site: Site, lock: Lock, cache: InputCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.user = "name:secret@"
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.address}/simple")
    fetch(lock, "3.11", cache)
    assert cache.find(lock.wheels[0])


def test_an_index_without_the_wheel_leaves_the_word_to_pip(site: Site, lock: Lock, cache: InputCache) -> None:
    site.files["/simple/bigpkg/"] = b""
    with pytest.raises(ImageError, match=r"pip download failed: .*bigpkg"):
        fetch(lock, "3.11", cache)


def command_of(tree: TinyTree) -> list[str]:
    """`imagelock fetch` as a user types it."""
    project = tree.project
    words = ["--root", str(project.root), "--cache", str(project.cache), "fetch"]
    return [sys.executable, "-m", "imagelock", *words]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_goes_on_where_it_was(
    site: Site, tree: TinyTree, lock: Lock, wheel: Path, signum: signal.Signals
) -> None:
    tree.wheels = [wheel]
    tree.debs = []
    tree.lock()
    cache = tree.cache
    (cache.folder / sha256(wheel)).unlink()
    site.pause = 0.05
    command = command_of(tree)
    process = subprocess.Popen(command)
    part = partial_path(cache, lock.wheels[0])
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > CUT) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    assert process.wait(15) == 128 + signum
    reached = part.stat().st_size
    assert CUT < reached < lock.wheels[0].size
    site.pause = 0.0
    subprocess.run(command, check=True)
    spans = site.asked_ranges(".whl")
    assert spans[0] == ""
    assert int(spans[-1].removeprefix("bytes=").rstrip("-")) >= reached
    assert cache.find(lock.wheels[0])


def test_two_processes_fetch_a_file_once(site: Site, tree: TinyTree, wheel: Path) -> None:
    tree.wheels, tree.debs = [wheel], []
    tree.lock()
    (tree.cache.folder / sha256(wheel)).unlink()
    site.pause = 0.02
    both = [subprocess.Popen(command_of(tree)) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(site.asked_ranges(".whl")) == 1


def apt_site(folder: Path, deb: Path) -> Site:
    """A Debian archive of one package."""
    data = deb.read_bytes()
    digest, pool = sha256(deb), f"pool/main/b/bigdeb/{deb.name}"
    packages = (
        "Package: bigdeb\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: Nobody\nDescription: big\n"
        f"Filename: {pool}\nSize: {len(data)}\nSHA256: {digest}\n\n"
    ).encode()
    listed = folder / "Packages"
    listed.write_bytes(packages)
    release = (
        "Origin: Debian\nSuite: tiny\nCodename: tiny\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        "Architectures: amd64\nComponents: main\n"
        f"SHA256:\n {sha256(listed)} {len(packages)} main/binary-amd64/Packages\n"
    ).encode()
    return Site(
        {"/dists/tiny/Release": release, "/dists/tiny/main/binary-amd64/Packages": packages, f"/{pool}": data}
    )


def test_apt_goes_on_with_a_debian_package(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, "bigdeb", "1.0-1", {"usr/big": random.Random(2).randbytes(SIZE)})
    row = lock_deb(deb)
    with serving(apt_site(tmp_path, deb)) as site:
        source = AptSource(tmp_path / "apt", "amd64")
        source.prepare()
        sources = tmp_path / "sources.list"
        sources.write_text(f"deb [trusted=yes] {site.address} tiny main\n")
        with (source.folder / "apt.conf").open("a") as conf:
            conf.write(f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "/nonexistent";\n')
            conf.write('Acquire::Retries "0";\n')
        source.run("apt-get", "-q", "update")
        site.cut_after, site.cuts_left = CUT, 99
        with pytest.raises(ImageError, match=r"apt download-file failed: .*bigdeb") as found:
            source.download([row])
        assert found.value.code == "unreachable"
        reached = source.arrival(row).stat().st_size
        assert reached >= CUT
        site.cuts_left = 0
        source.download([row])
        assert site.asked_ranges(".deb")[-1] == f"bytes={reached}-"
        assert sha256(source.arrival(row)) == row.sha256
        with pytest.raises(ImageError, match="apt's lists have sha256") as other:
            source.download([replace(row, sha256="0" * 64)])
        assert other.value.code == "corrupt"
