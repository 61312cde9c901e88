"""`docker build` and `docker push` of what an imagelock build is measured with: the other side of images.py.

Both builders of the daemon are measured, the classic one and BuildKit, since neither is always the faster.
Every Dockerfile stands on the image's own system layer, given to Docker beforehand, installs the locked
wheels without a network, and adds the sources. Three forms:

    equivalent   wheels first, sources last, nothing compiled: what imagelock's image holds
    usual        the same, compiled, as pip does when it is not told otherwise
    plain        everything copied first, as in many a Dockerfile: a changed line installs every wheel again

Knows nothing about how an image is assembled, only where its build, inputs and sources lie.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME = "imagelock-benchmark"
BASE = f"{NAME}-base"
SITE = "/usr/local/lib/python3.11/dist-packages"
INSTALL = '"install", "--no-index", "--no-deps", "--no-cache-dir", "--break-system-packages"'
END = "ENV LANG=C.UTF-8{env}\nUSER 65532:65532\n"
CLASSIC = f"""\
FROM {BASE}
COPY wheels /wheels
RUN ["python3", "/wheels/{{pip}}/pip", {INSTALL}{{flag}}, "-r", "/wheels/list"]
COPY sources {SITE}
{END}"""
BUILDKIT = f"""\
FROM {BASE}
RUN --mount=type=bind,source=wheels,target=/wheels \\
    ["python3", "/wheels/{{pip}}/pip", {INSTALL}{{flag}}, "-r", "/wheels/list"]
COPY sources {SITE}
{END}"""
PLAIN = f"""\
FROM {BASE}
COPY . /context
RUN ["python3", "/context/wheels/{{pip}}/pip", {INSTALL}{{flag}}, "-r", "/context/wheels/plain"]
{END}"""


@dataclass(frozen=True)
class Builder:
    """One of the daemon's two builders, with a client that speaks to it."""

    name: str
    client: str
    environment: Mapping[str, str]
    dockerfile: str

    def run(self, *words: str, cwd: Path) -> float:
        """Seconds of one command of the client; it must succeed."""
        begun = time.monotonic()
        done = subprocess.run([self.client, *words], cwd=cwd, env=os.environ | dict(self.environment),
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            sys.exit(f"docker {' '.join(words)} ({self.name}) failed:\n{done.stderr[-2000:]}")
        return time.monotonic() - begun


def find_builders() -> list[Builder]:
    """The builders that work here: a newer client needs a plugin for BuildKit, an older one has it in."""
    classic = ({"DOCKER_BUILDKIT": "0"}, "classic", CLASSIC)
    buildkit = ({"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}, "BuildKit", BUILDKIT)
    found = []
    for environment, name, dockerfile in (buildkit, classic):
        clients = [client for client in find_clients() if client_builds(client, environment)]
        found += [Builder(name, client, environment, dockerfile) for client in clients[:1]]
    return found


def find_clients() -> Iterator[str]:
    """Every docker on the PATH."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if client := shutil.which("docker", path=folder):
            yield client


def client_builds(client: str, environment: Mapping[str, str]) -> bool:
    """True when the client builds an image of one file by the builder that the environment names."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(f"FROM scratch\nLABEL {NAME}=1\nCOPY Dockerfile /\n")
        done = subprocess.run([client, "build", "-q", "-t", f"{NAME}-try", folder], capture_output=True,
                              env=os.environ | dict(environment), check=False)  # fmt: skip
    return done.returncode == 0


@contextmanager
def serve_registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry on a free port of loopback; yields its address."""
    with socket.socket() as spot:
        spot.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{spot.getsockname()[1]}"
    folder.mkdir()
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
    )
    words = ["docker-registry", "serve", str(settings)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            wait_for(address)
            yield address
        finally:
            child.terminate()


def wait_for(address: str) -> None:
    """Until somebody listens, at most 10 seconds."""
    host, _, port = address.partition(":")
    for _ in range(100):
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"docker-registry does not listen on {address}")


class Context:
    """The folder that `docker build` reads: wheels, sources, Dockerfiles."""

    def __init__(self, tree: Path, image: str, inputs: Path, folder: Path) -> None:
        self.tree, self.image, self.inputs, self.folder = tree, image, inputs, folder
        self.declaration = tomllib.loads((tree / "images" / image / "image.toml").read_text())

    def prepare(self, builders: Sequence[Builder]) -> None:
        """Lay everything out; wheels are linked, pip is fetched as a wheel."""
        wheels = self.folder / "wheels"
        wheels.mkdir(parents=True)
        lock = tomllib.loads((self.tree / "images" / self.image / "image.lock").read_text())
        for row in lock["wheels"]:
            os.link((self.inputs / row["sha256"]).resolve(), wheels / row["file"])
        listed = "".join(f"/wheels/{row['file']}\n" for row in lock["wheels"])
        (wheels / "list").write_text(listed)
        (wheels / "plain").write_text(listed.replace("/wheels/", "/context/wheels/"))
        words = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--dest", str(wheels), "pip"]
        subprocess.run(words, check=True)
        (pip,) = wheels.glob("pip-*.whl")
        bare = ', "--no-compile"'
        for builder in builders:
            forms = {
                "equivalent": (builder.dockerfile, bare, ""),
                "usual": (builder.dockerfile, "", ""),
                "plain": (PLAIN, "", " PYTHONPATH=/context/sources"),
            }
            for form, (text, flag, env) in forms.items():
                path = self.folder / f"Dockerfile.{builder.name}.{form}"
                path.write_text(text.format(pip=pip.name, flag=flag, env=env))
        self.copy_sources()

    def copy_sources(self) -> None:
        """The workspace packages as they are now."""
        shutil.rmtree(self.folder / "sources", ignore_errors=True)
        for folder in self.declaration["python"]["packages"]:
            shutil.copytree(self.tree / folder / "src", self.folder / "sources", dirs_exist_ok=True)


class DockerSide:
    """The steps on Docker's side; `change` changes a line in the tree that the context copies from."""

    def __init__(self, context: Context, builders: Sequence[Builder], change: Callable[[int], None]) -> None:
        self.context, self.builders, self.change = context, builders, change

    def build(self, builder: Builder, form: str, *flags: str) -> float:
        """One `docker build`, with nothing left to write from what came before."""
        os.sync()
        file = f"Dockerfile.{builder.name}.{form}"
        tag = f"{NAME}:{builder.name.lower()}-{form}"
        words = ("build", "-q", "--network=none", *flags, "-f", file, "-t", tag, ".")
        return builder.run(*words, cwd=self.context.folder)

    def cold(self, forms: Sequence[str]) -> dict[str, float]:
        """Seconds without any of Docker's caches."""
        found = {}
        for form in forms:
            for builder in self.builders:
                name = f"{builder.name}, {form}, cold"
                found[name] = tell(name, self.build(builder, form, "--no-cache"))
        return found

    def changed(self, forms: Sequence[str]) -> dict[str, float]:
        """Seconds after a changed line, all caches warm; the best of three, or one where all is made anew."""
        found: dict[str, float] = {}
        for form in forms:
            for builder in self.builders:
                self.build(builder, form)
                times = []
                for number in range(1 if form == "plain" else 3):
                    self.change(len(found) * 3 + number + 100)
                    self.context.copy_sources()
                    times.append(self.build(builder, form))
                name = f"{builder.name}, {form}, a line changed"
                found[name] = tell(name, min(times))
        return found

    def push(self, address: str) -> dict[str, float]:
        """Seconds to push the equivalent image, the base being there, and again after a changed line."""
        builder = self.builders[0]
        folder = self.context.folder
        local, remote = f"{NAME}:{builder.name.lower()}-equivalent", f"{address}/{NAME}:1"
        builder.run("tag", BASE, f"{address}/{NAME}:base", cwd=folder)
        builder.run("push", f"{address}/{NAME}:base", cwd=folder)
        found = {}
        for step in ("cold", "a line changed"):
            builder.run("tag", local, remote, cwd=folder)
            os.sync()
            found[f"push, {step}"] = tell(f"push, {step}", builder.run("push", remote, cwd=folder))
            self.change(200)
            self.context.copy_sources()
            self.build(builder, "equivalent")
        builder.run("rmi", remote, f"{address}/{NAME}:base", cwd=folder)
        return found

    def clean_up(self) -> None:
        """Remove the images and build caches that were made here."""
        builder = self.builders[0]
        forms = ("equivalent", "usual", "plain")
        tags = [f"{NAME}:{each.name.lower()}-{form}" for each in self.builders for form in forms]
        for tag in (*tags, f"{NAME}-try", BASE):
            subprocess.run([builder.client, "rmi", "-f", tag], capture_output=True, check=False)
        for what in (("image", "-f", "--filter", f"label={NAME}"), ("builder", "-af")):
            subprocess.run([builder.client, what[0], "prune", *what[1:]], capture_output=True, check=False)


def tell(step: str, seconds: float) -> float:
    """Say a figure as soon as it is known, since the rest takes minutes."""
    print(f"docker {step}: {seconds:.3f} s", file=sys.stderr, flush=True)
    return seconds


def import_base(client: str, blob: Path) -> None:
    """Give Docker the system layer as an image."""
    label = f"LABEL {NAME}=1"  # inherited by every image made here, so that the clean-up finds them
    subprocess.run([client, "import", "-c", label, str(blob), BASE], check=True, stdout=subprocess.DEVNULL)
