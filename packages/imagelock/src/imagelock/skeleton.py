"""What no package file carries and every image needs: merged /usr, accounts, scratch, CA bundle.

Written instead of running maintainer scripts. Knows no archive format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from imagelock.entry import Entry, directory, link, literal

OWNER = "skeleton"
FOLDERS = (
    *("dev", "etc", "etc/ssl", "etc/ssl/certs", "home", "in", "mnt", "out", "proc", "root", "run"),
    *("srv", "sys", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/local", "usr/local/bin"),
    *("usr/local/lib", "usr/sbin", "usr/share", "var", "var/cache", "var/lib", "var/lib/dpkg"),
    *("var/lib/dpkg/status.d", "var/log"),
)
SCRATCH = ("tmp", "var/tmp")
LINKS = {
    "bin": "usr/bin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "sbin": "usr/sbin",
}
PASSWD = """\
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
nonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
CERTIFICATES = "usr/share/ca-certificates/"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def skeleton_entries(python_version: str) -> list[Entry]:
    """Folders, links and account files of an image that has no OCI base."""
    site = site_folder(python_version)
    parents = [site.rsplit("/", 1)[0], site]
    return [
        *(directory(path, OWNER) for path in (*FOLDERS, *parents)),
        *(directory(path, OWNER, 0o1777) for path in SCRATCH),
        *(link(path, target, OWNER) for path, target in LINKS.items()),
        link("usr/bin/python3", f"python{python_version}", OWNER),
        literal("etc/passwd", PASSWD.encode(), OWNER),
        literal("etc/group", GROUP.encode(), OWNER),
        literal("etc/nsswitch.conf", NSSWITCH.encode(), OWNER),
    ]


def site_folder(python_version: str) -> str:
    """Where Debian's python looks for packages that Debian did not bring."""
    return f"usr/local/lib/python{python_version}/dist-packages"


def certificate_bundle(entries: Iterable[Entry], read: Callable[[Entry], bytes]) -> list[Entry]:
    """All certificates below usr/share/ca-certificates in path order, as one file."""
    chosen = sorted(
        (item.path, item)
        for item in entries
        if item.path.startswith(CERTIFICATES) and item.path.endswith(".crt")
    )
    if not chosen:
        return []
    data = b"".join(read(item).rstrip(b"\n") + b"\n" for _, item in chosen)
    return [literal(BUNDLE, data, OWNER)]
