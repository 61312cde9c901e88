"""POSIX tar headers, written by hand so that no library's version is on the byte path.

Format 1: ustar; a pax record only for a path or target over 100 bytes or not ASCII and for a
size of 8 GiB and more; uid, gid, names and device numbers zero; one constant time.
"""

from __future__ import annotations

from imagelock.entry import Entry

BLOCK = 512
RECORD = 10240
MAX_OCTAL_SIZE = 8**11
TYPE_FLAGS = {"file": b"0", "link": b"2", "directory": b"5"}
MTIME = 315532800  # 1980-01-01: the oldest time that zip, tar and file systems all can say


def entry_header(entry: Entry) -> bytes:
    """The header block(s) of one entry, a pax header before it where it is forced."""
    name = entry.path.encode("utf-8") + (b"/" if entry.kind == "directory" else b"")
    target = entry.target.encode("utf-8")
    records = [
        pax_record(key, value)
        for key, value in (("path", name), ("linkpath", target))
        if len(value) > 100 or not value.isascii()
    ]
    size = entry.size
    if size >= MAX_OCTAL_SIZE:
        records.append(pax_record("size", str(size).encode()))
        size = 0
    prefix = b""
    if records:
        body = b"".join(records)
        prefix = header_block(b"././@PaxHeader", 0o644, len(body), b"x", b"") + padded(body)
    flag = TYPE_FLAGS[entry.kind]
    return prefix + header_block(name[:100], entry.mode, size, flag, target[:100])


def header_block(name: bytes, mode: int, size: int, flag: bytes, target: bytes) -> bytes:
    """One ustar block of 512 bytes with its checksum."""
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, 0, 0, size, MTIME)
    tail = flag + target.ljust(100, b"\0") + b"ustar\x0000" + bytes(80)
    total = sum(head) + 8 * 32 + sum(tail)
    return (head + b"%06o\0 " % total + tail).ljust(BLOCK, b"\0")


def pax_record(key: str, value: bytes) -> bytes:
    """`<length> <key>=<value>` with a newline, where the length counts its own digits."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def padded(data: bytes) -> bytes:
    """Data filled up to whole blocks."""
    return data + padding(len(data))


def padding(size: int) -> bytes:
    """The zero bytes that fill the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def end_of_archive(size: int) -> bytes:
    """Two zero blocks, then zeros to a whole record, after `size` bytes of archive."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)
