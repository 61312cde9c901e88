"""Commands about finished images: push, pins, serve, audit, verify, explain. Prints, decides little."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

from imagelock.audit import Question, audit
from imagelock.build import Project
from imagelock.canonical import canonical_json, readable_json
from imagelock.commands import Adder, add_command, chosen
from imagelock.compare import EXIT_CODES
from imagelock.errors import ImageError
from imagelock.explain import explain
from imagelock.push import make_pins, push, write_pins
from imagelock.rebuild import ASSEMBLERS
from imagelock.registry import Registry, parse_registry
from imagelock.serve import LoopbackRegistry
from imagelock.statement import sign, verdict_statement, verify

USER = "A registry that wants a user finds name:password in IMAGELOCK_REGISTRY_USER."
DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}")
WHOSE = {"current": "today's", "commit": "the commit's own"}


def add_push(adder: Adder) -> None:
    """push, pins and serve."""
    parser = add_command(adder, "push", "push built images under their write-once tags", epilog=USER)
    parser.add_argument("image", nargs="*", help="all images when none is named")
    parser.add_argument("--registry", required=True, help="host[:port][/prefix]")
    parser.set_defaults(handler=run_push)
    parser = add_command(adder, "pins", "print reference and annotations of built images as JSON")
    parser.add_argument("image", nargs="*", help="all images when none is named")
    parser.add_argument("--registry", required=True, help="host[:port][/prefix]")
    parser.add_argument("--save-to", type=Path, metavar="FILE", help="instead of standard output")
    parser.set_defaults(handler=run_pins)
    parser = add_command(adder, "serve", "run a small registry for this machine alone, until Ctrl-C")
    parser.add_argument("--port", type=int, default=5050, help="on 127.0.0.1 (5050; 0: a free one)")
    parser.add_argument("--folder", type=Path, metavar="DIR", required=True, help="where it keeps its blobs")
    parser.set_defaults(handler=run_serve)


def add_audit(adder: Adder) -> None:
    """audit, verify and explain."""
    codes = ", ".join(f"{code} {name}" for name, code in EXIT_CODES.items())
    parser = add_command(
        adder, "audit", "rebuild an image from its commit and compare",
        epilog=f"Exit codes: {codes}; 2: no verdict, one sentence says why. {USER}",
    )  # fmt: skip
    parser.add_argument("image", help="its name")
    parser.add_argument("--digest", default="", help="manifest digest; the built image's when absent")
    parser.add_argument("--tag", default="", help="<version>-m<64 hex>")
    parser.add_argument(
        "--commit", default="", help="when absent: the one that the build or its provenance names, else HEAD"
    )
    parser.add_argument("--registry", help="read the recorded image there, not under build/images")
    parser.add_argument("--key", type=Path, help="Ed25519 private key (PEM) to sign the verdict with")
    parser.add_argument("--save-to", type=Path, metavar="FILE", help="the verdict's (build/audit/…)")
    parser.add_argument("--offline", action="store_true", help="use cached inputs only")
    parser.add_argument(
        "--assembler", choices=ASSEMBLERS, default="current",
        help="who rebuilds: this imagelock (default), the commit's own (runs that commit's code), or both",
    )  # fmt: skip
    parser.set_defaults(handler=run_audit)
    parser = add_command(adder, "verify", "check the signature of a signed verdict and print what it says")
    parser.add_argument("statement", type=Path, metavar="FILE", help="what `imagelock audit --key` wrote")
    parser.add_argument("--key", type=Path, required=True, help="Ed25519 public key (PEM)")
    parser.set_defaults(handler=run_verify)
    parser = add_command(adder, "explain", "say which input put a file into a built image")
    parser.add_argument("digest", metavar="DIGEST", help="of manifest or config, or an image's name")
    parser.add_argument("path", metavar="PATH", help="inside the image")
    parser.set_defaults(handler=run_explain)


def open_registry(text: str) -> Registry:
    """A registry by its address; credentials come from the environment."""
    return parse_registry(text, os.environ.get("IMAGELOCK_REGISTRY_USER", ""))


def run_push(project: Project, options: argparse.Namespace) -> int:
    """Push images; one line each."""
    registry = open_registry(options.registry)
    for name in chosen(project, options.image):
        done = push(project, name, registry)
        how = "attached" if done.attached else "kept as files (no referrers API there)"
        print(f"{done.reference} sha256:{done.digest} "
              f"({done.uploaded} blobs sent, {done.mounted} mounted, {done.skipped} were there; "
              f"SBOM, provenance {how})")  # fmt: skip
    return 0


def run_pins(project: Project, options: argparse.Namespace) -> int:
    """Print or write the pins of built images."""
    registry = open_registry(options.registry)
    pins = make_pins(project, chosen(project, options.image), registry)
    if options.save_to:
        write_pins(options.save_to, pins)
    else:
        print(readable_json(pins).decode(), end="")
    return 0


def run_serve(_project: Project, options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        server = LoopbackRegistry(("127.0.0.1", options.port), options.folder)
    except OSError as error:
        raise ImageError(f"port {options.port} cannot be used: {error.strerror}; give another --port",
                         code="conflict") from None  # fmt: skip
    with server:
        print(f"imagelock: serving 127.0.0.1:{server.server_address[1]} from {options.folder}", flush=True)
        server.serve_forever()
    return 0


def run_audit(project: Project, options: argparse.Namespace) -> int:
    """Audit one image; the exit code is the verdict's class."""
    name = chosen(project, [options.image])[0]
    registry = open_registry(options.registry) if options.registry else None
    if options.digest and not DIGEST.fullmatch(options.digest):
        raise ImageError(f"the digest {options.digest!r} is not of the form sha256:<64 hex digits>")
    if options.key:
        sign(b"", options.key)  # a key that will not do is told before the rebuild, not after it
    question = Question(
        name, options.digest, options.tag, options.commit, registry, options.offline, options.assembler
    )
    verdict, audited = audit(project, question)
    statement = verdict_statement(verdict, audited)
    folder = project.root / "build" / "audit"
    path = options.save_to or folder / f"{name}-{audited.digest[:16]}.json"
    write_verdict(path, statement, options.key)
    print(f"{name} sha256:{audited.digest} at {audited.commit[:12]}: {verdict.result}: "
          f"{verdict.sentence}")  # fmt: skip
    for made in audited.rebuilds:
        network = ", its network cut" if made.network_cut else ""
        print(f"  by {WHOSE[made.assembler]} assembler {made.source_sha256[:12]}{network}: {made.result}")
    for line in verdict.differences:
        print(f"  {line}")
    print(f"  verdict in {path}{' (signed)' if options.key else ''}")
    return verdict.exit_code


def write_verdict(path: Path, statement: dict[str, Any], key: Path | None) -> None:
    """Write a statement, in a signed envelope when there is a key."""
    document = sign(canonical_json(statement), key) if key else statement
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(readable_json(document))
    except OSError as error:
        raise ImageError(f"the verdict cannot be written to {path}: {error.strerror}; give another place by "
                         "--save-to") from None  # fmt: skip


def run_verify(_project: Project, options: argparse.Namespace) -> int:
    """Check a signed verdict and print what it says."""
    try:
        envelope = options.statement.read_bytes()
    except OSError as error:
        raise ImageError(f"{options.statement} cannot be read ({error.strerror}): name a verdict that "
                         "`imagelock audit --key` wrote", code="missing") from None  # fmt: skip
    print(json.dumps(verify(envelope, options.key), indent=2, sort_keys=True))
    return 0


def run_explain(project: Project, options: argparse.Namespace) -> int:
    """Explain one path."""
    print(explain(project, options.digest, options.path))
    return 0
