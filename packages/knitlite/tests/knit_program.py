"""Knitfab's own `knit` program as a user calls it, for tests. Knows no engine."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

Record = dict[str, Any]


@dataclass(frozen=True)
class Knit:
    """The program in a user's project folder, and a scope that keeps tests on one server apart."""

    program: str
    project: Path
    home: Path
    path: str = os.environ["PATH"]
    scope: str = field(default_factory=lambda: uuid4().hex[:8])

    def call(self, *words: str | Path, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """One command, however it ends."""
        return subprocess.run(
            [self.program, *map(str, words)],
            cwd=folder or self.project,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A command that goes on beside the test."""
        return subprocess.Popen(
            [self.program, *words], cwd=self.project, env=self.environ, stdout=subprocess.PIPE, text=True
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """Nothing of the machine's own user."""
        return {"HOME": str(self.home), "PATH": self.path}

    def output(self, *words: str | Path, folder: Path | None = None) -> str:
        """What a command that succeeds prints."""
        ended = self.call(*words, folder=folder)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def record(self, *words: str | Path) -> Record:
        """The JSON object that a command prints."""
        value = json.loads(self.output(*words))
        assert isinstance(value, dict)
        return value

    def records(self, *words: str | Path) -> list[Record]:
        """The JSON list that a command prints."""
        value = json.loads(self.output(*words))
        assert isinstance(value, list)
        return value

    def refusal(self, *words: str | Path) -> str:
        """The message of the server in what a command that fails says; it prints no result then."""
        ended = self.call(*words)
        assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
        message = json.JSONDecoder().raw_decode(ended.stderr[ended.stderr.rindex("{\n") :])[0]["message"]
        assert isinstance(message, str)
        return message

    def tag(self, name: str) -> str:
        """A tag of this test's own."""
        return f"{name}:{self.scope}"

    def folder(self, name: str, files: Mapping[str, str]) -> Path:
        """A folder of the project with these text files."""
        for path, text in files.items():
            (self.project / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self.project / name / path).write_text(text, encoding="utf-8")
        return self.project / name

    def push(self, *tags: str) -> str:
        """The knit id of a small folder with these tags."""
        words = [word for tag in tags for word in ("-t", tag)]
        data = self.record("data", "push", *words, self.folder("small", {"a.txt": "hello"}))
        return str(data["knitId"])

    def apply(self, script: str, source: str, target: str, **more: object) -> str:
        """The plan id of a plan that runs `script` in sh with /in as $1 and /out as $2."""
        plan = {
            "image": "registry.example:5000/team/tool:v1",
            "entrypoint": ["sh", "-c", script],
            "args": ["sh", "/in", "/out"],
            "inputs": [{"path": "/in", "tags": [source]}],
            "outputs": [{"path": "/out", "tags": [target]}],
            "log": {"tags": [f"{target}.log"]},
            **more,
        }
        return str(self.record("plan", "apply", self.write("plan.yaml", json.dumps(plan)))["planId"])

    def write(self, name: str, text: str) -> Path:
        """A file of the project."""
        (self.project / name).write_text(text, encoding="utf-8")
        return self.project / name

    def wait(self, plan_id: str, *statuses: str) -> Record:
        """The plan's only Run, once it is in one of these statuses."""
        deadline = time.monotonic() + 30
        while True:
            runs = self.records("run", "find", "--planid", plan_id)
            if [run["status"] in statuses for run in runs] == [True]:
                return runs[0]
            assert time.monotonic() < deadline, runs
            time.sleep(0.05)


def objects(text: str) -> list[Record]:
    """JSON objects that stand one after the other, as `data push` prints them."""
    found, decoder = [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


def ids(records: list[Record], key: str) -> set[str]:
    return {str(record[key]) for record in records}
