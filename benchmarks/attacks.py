"""What hostile clients get from knitlite, what they cost it, and what others feel of it meanwhile.

    python benchmarks/attacks.py [NAME …]

A server in a process of its own with its defaults; each attack is one client, as fast as it can be, that
reads an answer as soon as there is one. Another client asks for the Runs all the time on its own connection.
"""

import argparse
import gzip
import http.client
import io
import json
import select
import socket
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from engine import peak_of, serve

MEMBERS: Final = 10_000_000
BLOCK: Final = 125_000
MEBIBYTE: Final = 1 << 20
LORISES: Final = 100
GIVE_UP_SECONDS: Final = 180.0

Attack = Callable[[str], str]
"""Takes the host and port; gives what came of it."""


def main() -> None:
    """Print a line an attack."""
    parser = argparse.ArgumentParser(description="Attack a knitlite of its own and measure what comes of it.")
    parser.add_argument(
        "names", nargs="*", help="attacks whose name holds one of these; all if none is given"
    )
    wanted = parser.parse_args().names
    with TemporaryDirectory() as folder, serve(Path(folder) / "root") as (server, api_root):
        place = urlsplit(api_root).netloc
        print("| attack | answer | after | server's memory, most | slowest `GET /api/runs` |")
        print("|---|---|---|---|---|")
        for name, attack in attacks():
            if wanted and not any(part in name for part in wanted):
                continue
            Path(f"/proc/{server}/clear_refs").write_text("5")
            with Bystander(place) as bystander:
                began = time.monotonic()
                came = attack(place)
                spent = time.monotonic() - began
            cells = (
                name,
                came,
                f"{spent:.1f} s",
                f"{peak_of(server):.0f} MB",
                f"{bystander.worst * 1000:.0f} ms",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


class Bystander:
    """Asks for the Runs from `enter` to `exit`, every 20 ms; `worst` is the longest it waited, in seconds."""

    def __init__(self, place: str) -> None:
        """Not connected yet."""
        self._connection = http.client.HTTPConnection(place, timeout=GIVE_UP_SECONDS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.worst = 0.0

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def _ask(self) -> None:
        while True:
            began = time.monotonic()
            self._connection.request("GET", "/api/runs")
            answer = self._connection.getresponse()
            answer.read()
            self.worst = max(self.worst, time.monotonic() - began)
            if answer.status != 200:
                raise SystemExit(f"GET /api/runs: {answer.status}")
            if self._over.wait(0.02):
                return


# Sending


def dial(place: str) -> socket.socket:
    """A connection to the server."""
    host, _, port = place.partition(":")
    return socket.create_connection((host, int(port)), timeout=GIVE_UP_SECONDS)


def send(place: str, head: str, pieces: Iterable[bytes]) -> str:
    """The status and the message that come back, looked for before each piece."""
    with dial(place) as connection:
        connection.sendall(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                if select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(piece)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> str:
    """Status and the first words of the message; why not, if there is none."""
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except OSError as error:
        if not answer:
            return f"none: {error}"
    if not answer:
        return "cut off"
    status, body = answer.split(b" ", 2)[1].decode(), answer.partition(b"\r\n\r\n")[2]
    message = ""
    with suppress(ValueError):
        value = json.loads(body)
        message = str(value.get("message", "")) if isinstance(value, dict) else ""
    return f"{status} {message.split(chr(10))[-1].removeprefix(' caused by:')[:60]}".strip().replace("|", "/")


def upload(pieces: Callable[[], Iterable[bytes]]) -> Attack:
    """An archive, in chunks as the pieces are made."""

    def attack(place: str) -> str:
        chunks = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces())
        return send(
            place, "POST /api/data HTTP/1.1\r\nTransfer-Encoding: chunked", chain(chunks, [b"0\r\n\r\n"])
        )

    return attack


def put_json(pieces: Sequence[bytes]) -> Attack:
    """A change of tags of Data that do not exist, or only look at its form."""
    length = sum(map(len, pieces))

    def attack(place: str) -> str:
        return send(place, f"PUT /api/data/x HTTP/1.1\r\nContent-Length: {length}", pieces)

    return attack


# Archives


def header(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> bytes:
    """One member's header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def archive(*headers: bytes) -> Attack:
    """An archive of nothing but headers."""
    return upload(lambda: [gzip.compress(b"".join(headers) + bytes(1024))])


def many_members() -> Iterator[bytes]:
    """The names come again after BLOCK members, later than the server may read."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as packed:
        for number in range(BLOCK):
            packed.write(numbered_header(number))
    yield from [buffer.getvalue()] * (MEMBERS // BLOCK)


def numbered_header(number: int, pattern: bytes = header("0000000")) -> bytes:
    """Like `header`, but made in a microsecond."""
    name = b"%07d" % number
    checksum = b"%06o" % (int(pattern[148:154], 8) + sum(name) - sum(b"0000000"))
    return name + pattern[7:148] + checksum + pattern[154:]


def bomb() -> Iterator[bytes]:
    """A file of 8 GB of zeros."""
    yield gzip.compress(header("zeros", size=8000 * MEBIBYTE))
    yield from [gzip.compress(bytes(MEBIBYTE), 9)] * 8000


def attacks() -> Iterator[tuple[str, Attack]]:
    """All of them."""
    yield f"archive of {MEMBERS:,} empty files", upload(many_members)
    yield "bomb, 1000:1", upload(bomb)
    yield "name of 5,000 bytes", archive(header("n" * 5000))
    yield (
        "name that is not UTF-8",
        archive(bytes(tarfile.TarInfo("\udcff").tobuf(tarfile.GNU_FORMAT, "utf-8"))),
    )
    yield "absolute name", archive(header("/etc/passwd"))
    yield "name with `..`", archive(header("a/../../b"))
    yield "symlink that leads out", archive(header("a", tarfile.SYMTYPE, "../../.."))
    yield "file below a symlink", archive(header("a", tarfile.SYMTYPE, "b"), header("b/"), header("a/c"))
    yield "hard link that leads out", archive(header("a", tarfile.LNKTYPE, "/etc/passwd"))
    yield "device", archive(header("a", tarfile.CHRTYPE))
    yield "JSON of 100 MB", put_json([b'{"add": ["', *[b"x" * MEBIBYTE] * 100, b'"]}'])
    for depth in (10_000, 100_000):
        yield f"JSON {depth:,} deep", put_json([b"[" * depth, b"]" * depth])
    for name, text in (("quote", 'a"b'), ("control character", "a\x01b"), ("line feed", "a\nb")):
        tag = json.dumps({"add": [{"key": "k", "value": text}]}).encode()
        yield f"tag with a {name}", put_json([tag])
    for length in (MEBIBYTE, MEBIBYTE + 1):
        yield f"tag of {length:,} bytes on Data", tag_of(length)
    yield f"{LORISES} uploads, a byte a second each", slow_uploads


def tag_of(length: int) -> Attack:
    """A tag on new Data."""

    def attack(place: str) -> str:
        packed = gzip.compress(bytes(1024))
        connection = http.client.HTTPConnection(place, timeout=GIVE_UP_SECONDS)
        connection.request("POST", "/api/data", iter([packed]), encode_chunked=True)
        knit_id = json.loads(connection.getresponse().read())["knitId"]
        connection.close()
        body = json.dumps({"add": [f"k:{'v' * length}"]}).encode()
        return send(place, f"PUT /api/data/{knit_id} HTTP/1.1\r\nContent-Length: {len(body)}", [body])

    return attack


def slow_uploads(place: str) -> str:
    """How they ended, and what others got who connected meanwhile, one a second."""
    held = [dial(place) for _ in range(LORISES)]
    for connection in held:
        with suppress(OSError):
            connection.sendall(
                b"POST /api/data HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
    deadline = time.monotonic() + GIVE_UP_SECONDS
    ends, strangers, longest = Counter[str](), Counter[str](), 0.0
    while held and time.monotonic() < deadline:
        for connection in list(held):
            try:
                connection.sendall(b"1\r\n\x1f\r\n")
                ended = bool(select.select([connection], [], [], 0)[0])
            except OSError:
                ended = True
            if ended:
                ends[read_answer(connection)[:3]] += 1
                held.remove(connection)
                connection.close()
        began = time.monotonic()
        strangers[send(place, "GET /api/runs HTTP/1.1", ())[:3]] += 1
        longest = max(longest, time.monotonic() - began)
        time.sleep(1)
    return (
        f"{tell(ends)}; {len(held)} left; new connections meanwhile: {tell(strangers)}, "
        f"the slowest after {longest * 1000:.0f} ms"
    )


def tell(counts: Counter[str]) -> str:
    """What came how often."""
    return ", ".join(f"{count} times {what}" for what, count in sorted(counts.items()))


if __name__ == "__main__":
    main()
