"""An engine and its HTTP server together, from start to stop. What `knitlite serve` runs and tests start."""

import ipaddress
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from knitfab.errors import KnitError

from knitlite.capacity import machine_capacity
from knitlite.engine import MAX_FILES, EmbeddedEngine, EngineSettings
from knitlite.faults import Faults, NoFaults
from knitlite.http import App, Limits, Server
from knitlite.http.guard import Guard, host_name, is_address
from knitlite.http.server import listen
from knitlite.runners import Runner
from knitlite.runners.process import ProcessRunner

_TOKEN_LENGTH: Final = 16


@dataclass(frozen=True)
class ServeSettings:
    """Everything `knitlite serve` can be told."""

    root: Path
    """Folder of all state."""
    host: str = "127.0.0.1"
    """Address to listen on; one that others can reach needs a token."""
    port: int = 8030
    """0 takes any free port."""
    cpus: float | None = None
    """What Runs may declare together; the machine's processors by default."""
    token_file: Path | None = None
    """Holds the bearer token every request must carry; readable by its owner alone."""
    runner: Runner = field(default_factory=ProcessRunner)
    """Executes Runs."""
    max_files: int = MAX_FILES
    """Members an uploaded archive may have."""
    limits: Limits = field(default_factory=Limits)
    """What one client may take."""
    faults: Faults = field(default_factory=NoFaults)
    """Told about every step that changes the disk."""

    def __post_init__(self) -> None:
        if self.cpus is not None and not 0 < self.cpus <= 4096:
            raise KnitError(f"--cpus {self.cpus:g} must lie above 0 and up to 4096", code="invalid")
        if not 0 <= self.port <= 65535:
            raise KnitError(f"--port {self.port} must lie in 0..65535", code="invalid")
        if self.token_file is None and not is_loopback(self.host):
            sentence = f"--host {self.host} can be reached by others: add --token-file, or use 127.0.0.1"
            raise KnitError(sentence, code="invalid")


class Service:
    """A served engine, from construction to `close`."""

    def __init__(self, settings: ServeSettings) -> None:
        """Bind the port first: when it is taken, the folder is left alone."""
        token = None if settings.token_file is None else read_token(settings.token_file)
        guard = Guard(frozenset({"localhost", host_name(settings.host)}), token)
        listener = listen((settings.host, settings.port))
        try:
            capacity = machine_capacity(settings.cpus)
            self.engine = EmbeddedEngine.open(
                EngineSettings(settings.root, settings.runner, capacity, settings.faults, settings.max_files)
            )
        except BaseException:
            listener.close()
            raise
        self._server = Server(listener, App(self.engine, guard), settings.limits)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.api_root = f"http://{host}:{self._server.port}/api"
        self._endpoint = settings.root / "endpoint"
        self._server.start()
        _write_whole(self._endpoint, json.dumps({"api_root": self.api_root, "pid": os.getpid()}) + "\n")

    def close(self) -> None:
        """Stop answering, then end running processes; their Runs are executed again at the next start."""
        self._endpoint.unlink(missing_ok=True)
        self._server.close()
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def read_token(path: Path) -> str:
    """The token in a file; invalid when others may read the file, or it holds too little."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KnitError(f"the token file {path} can't be read: {error}", code="invalid") from error
    if mode & 0o077:
        sentence = f"the token file {path} can be read by others (mode {mode:o}): chmod 600 {path}"
        raise KnitError(sentence, code="invalid")
    if len(token) < _TOKEN_LENGTH or not token.isascii() or not token.isprintable():
        sentence = f"the token in {path} needs at least {_TOKEN_LENGTH} printable ASCII characters"
        raise KnitError(sentence, code="invalid")
    return token


def _write_whole(path: Path, text: str) -> None:
    """Readers see the old file or the new one, nothing between."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
