"""The settings of every subcommand of knit-mlflow: one frozen dataclass each.

Contradictions are refused when they are made. Knows neither MLflow nor an engine.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from newscore.errors import NewsError
from newscore.settings import setting

from .address import sqlite_path

TRACKING_URI = "sqlite:///mlflow.db"


@dataclass(frozen=True)
class Options:
    """What a user chooses about a mirror, as the code takes it."""

    source_name: str = "knitfab"
    experiment: str | None = None
    bar_head: str = "tfidf-svm"
    gone_after: float = 600.0
    """Seconds a Run must stay unlisted before its mirror is taken away."""
    allow_removals: bool = False
    """Take runs away even where so many are missing that the source is probably the wrong one."""


@dataclass(frozen=True)
class FromSource:
    """Where Runs come from: an engine, or a recording of one."""

    api_root: str | None = setting(
        None,
        help="Knitfab's or knitlite's API root (http://HOST:PORT/api), a profile file or name, or a knitlite "
        "root folder; else the profile of this folder",
    )
    recording: Path | None = setting(None, help="a recorded engine (a folder) instead of --api-root")
    bar_head: str = setting("tfidf-svm", help="the head that is the bar: others are compared with its models")

    def __post_init__(self) -> None:
        """One source, and only one."""
        if self.api_root is not None and self.recording is not None:
            raise NewsError(f"two sources, {self.api_root} and {self.recording}: give one of them.")


@dataclass(frozen=True)
class Mirroring(FromSource):
    """What sync and verify share."""

    tracking_uri: str = setting(TRACKING_URI, help="where MLflow keeps its runs")
    source: str = setting("knitfab", help="the name of this engine in MLflow; part of every key")
    experiment: str | None = setting(
        None, help="MLflow experiment; else the plan annotation mlflow.experiment, else the tag project"
    )

    def __post_init__(self) -> None:
        """A source name that can stand in MLflow's filters."""
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9][\w.\-]{0,63}", self.source):
            raise NewsError(f"--source {self.source!r} is no name: use letters, digits, '.', '_' and '-'.")

    @property
    def options(self) -> Options:
        """These settings as the mirror takes them."""
        return Options(self.source, self.experiment, self.bar_head)


@dataclass(frozen=True)
class SyncSettings(Mirroring):
    """knit-mlflow sync"""

    ledger: Path | None = setting(None, help="the mirror's memory (SQLite); else beside MLflow's database")
    watch: float | None = setting(None, help="go on, one sync every so many seconds", minimum=0.1)
    gone_after: float = setting(
        600.0, help="seconds a Run must be missing before its mirror is taken away", minimum=0
    )
    allow_removals: bool = setting(False, help="take mirrors away even where most of the source is missing")

    @property
    def options(self) -> Options:
        """These settings as the mirror takes them."""
        return replace(super().options, gone_after=self.gone_after, allow_removals=self.allow_removals)

    @property
    def ledger_path(self) -> Path:
        """The ledger's file: given, else beside the database of the tracking URI."""
        if self.ledger is not None:
            return self.ledger
        database = sqlite_path(self.tracking_uri)
        if database is None:
            return Path(f"knit-mlflow-{self.source}.ledger.db")
        return database.with_name(f"{database.stem}.ledger.db")


@dataclass(frozen=True)
class VerifySettings(Mirroring):
    """knit-mlflow verify"""


@dataclass(frozen=True)
class CompareSettings(FromSource):
    """knit-mlflow compare"""

    json: Path | None = setting(None, help="also write the comparison as JSON to this file")
    html: Path | None = setting(None, help="also write the comparison as one self-contained HTML page")


@dataclass(frozen=True)
class UiSettings:
    """knit-mlflow ui"""

    tracking_uri: str = setting(TRACKING_URI, help="where MLflow keeps its runs")
    port: int = setting(5000, help="port on 127.0.0.1", minimum=1, maximum=65535)


@dataclass(frozen=True)
class ResolveSettings:
    """knit-mlflow resolve"""

    tracking_uri: str = setting(TRACKING_URI, help="where MLflow keeps its runs")
