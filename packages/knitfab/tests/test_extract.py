"""Archives that lie. What is refused must leave nothing outside of the target."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knitfab.contract.transfer_rules import HOSTILE
from knitfab.errors import KnitError
from knitfab.extract import extract_archive
from knitfab.tarreader import ArchiveLimits
from knitfab.tarstream import pack_folder

CODES = {"invalid", "corrupt", "too_large"}


def _tar(*members: tuple[str, bytes, str], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info, io.BytesIO())
    return buffer.getvalue()


def _extract(packed: bytes, target: Path) -> str:
    """`done`, or the code of the error."""
    try:
        extract_archive([packed], target)
    except KnitError as error:
        return error.code
    return "done"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "outer" / "target"
    target.mkdir(parents=True)
    with pytest.raises(KnitError) as error:
        extract_archive([HOSTILE[name]], target)
    assert error.value.code in CODES
    assert [path.name for path in (tmp_path / "outer").iterdir()] == ["target"]
    assert [path.name for path in tmp_path.iterdir()] == ["outer"]


def test_link_through_a_link_is_refused(tmp_path: Path) -> None:
    """Each looks harmless alone: l1 climbs to the root, and l2 climbs from where l1 led."""
    packed = _tar(("a/b/l1", tarfile.SYMTYPE, "../.."), ("l2", tarfile.SYMTYPE, "a/b/l1/../x"))
    with pytest.raises(KnitError, match="may leave the folder"):
        extract_archive([packed], tmp_path)


def test_name_used_twice_is_refused(tmp_path: Path) -> None:
    packed = _tar(("a", tarfile.REGTYPE, ""), ("a", tarfile.REGTYPE, ""))
    with pytest.raises(KnitError, match="twice"):
        extract_archive([packed], tmp_path)


def test_file_below_a_file_is_refused(tmp_path: Path) -> None:
    packed = _tar(("a", tarfile.REGTYPE, ""), ("a/b", tarfile.REGTYPE, ""))
    with pytest.raises(KnitError, match="no folder"):
        extract_archive([packed], tmp_path)


def test_folders_and_dots_are_harmless(tmp_path: Path) -> None:
    packed = _tar(
        ("./", tarfile.DIRTYPE, ""),
        ("./a/", tarfile.DIRTYPE, ""),
        ("./a/", tarfile.DIRTYPE, ""),
        ("./a/b", tarfile.REGTYPE, ""),
        ("a/c/l", tarfile.SYMTYPE, "../b"),
    )
    extract_archive([packed], tmp_path, durable=True)
    assert (tmp_path / "a" / "c" / "l").read_bytes() == b""


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_long_names(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 60] * 3)
    extract_archive([_tar((name, tarfile.REGTYPE, ""), form=form)], tmp_path)
    assert (tmp_path / name).is_file()


def test_limits(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / str(number)).write_bytes(bytes(10_000))
    packed = b"".join(pack_folder(source))
    for number, limits in enumerate(
        (
            ArchiveLimits(members=10),
            ArchiveLimits(total_bytes=100_000),
            ArchiveLimits(ratio=10, free_bytes=1000),
        )
    ):
        target = tmp_path / str(number)
        target.mkdir()
        with pytest.raises(KnitError) as error:
            extract_archive([packed], target, limits)
        assert error.value.code == "too_large"


def test_long_headers_are_not_read_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    with pytest.raises(KnitError, match="extended header"):
        extract_archive([gzip.compress(info.tobuf(tarfile.GNU_FORMAT))], tmp_path)


def test_members_may_come_in_any_pieces(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "a").write_bytes(b"payload" * 1000)
    packed = b"".join(pack_folder(source))
    extract_archive((packed[place : place + 1] for place in range(len(packed))), target)
    assert (target / "a").read_bytes() == b"payload" * 1000


def test_two_gzip_streams_are_one(tmp_path: Path) -> None:
    plain = gzip.decompress(_tar(("a", tarfile.REGTYPE, "")))
    extract_archive([gzip.compress(plain[:700]) + gzip.compress(plain[700:])], tmp_path)
    assert (tmp_path / "a").is_file()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(position=st.integers(0, 10_239), value=st.integers(0, 255), kind=st.sampled_from(b"012356xgLKSV\0"))
def test_damaged_headers_never_escape(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, kind: int
) -> None:
    """One byte changed, another type, the checksum made right again: an error or files within the target."""
    outer = tmp_path_factory.mktemp("outer")
    target = outer / "target"
    target.mkdir()
    plain = bytearray(gzip.decompress(_tar(("a/b", tarfile.REGTYPE, "../c"), ("l", tarfile.SYMTYPE, "a/b"))))
    plain[156] = kind
    plain[position] = value
    for start in (0, 512):
        header = plain[start : start + 512]
        total = sum(header) - sum(header[148:156]) + 256
        plain[start + 148 : start + 156] = f"{total:06o}\0 ".encode()
    assert _extract(gzip.compress(bytes(plain)), target) in {"done", *CODES}
    assert [path.name for path in outer.iterdir()] == ["target"]
    assert all(path.resolve().is_relative_to(outer.resolve()) for path in target.rglob("*"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=2000))
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    target = tmp_path_factory.mktemp("target")
    for content in (noise, gzip.compress(noise)):
        assert _extract(content, target) in {"done", *CODES}
    assert list(target.iterdir()) == []
