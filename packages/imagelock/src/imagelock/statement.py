"""Verdicts as in-toto statements, signed in a DSSE envelope when a key is given.

Signing is the `openssl` program's work (Ed25519, PEM): the library has no signature in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imagelock.compare import Verdict
from imagelock.errors import ImageError
from imagelock.provenance import make_statement

VERDICT_TYPE = "https://in-toto.io/attestation/svr/v0.2"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
VERIFIER = "urn:imagelock:audit"


@dataclass(frozen=True)
class RebuildResult:
    """What one assembler came to: `current` or `commit`, the hash of its source, class and manifest."""

    assembler: str
    source_sha256: str
    result: str
    manifest: str
    network_cut: bool

    def to_json(self) -> dict[str, Any]:
        """As the statement tells it."""
        return {
            "assembler": self.assembler,
            "sourceSha256": self.source_sha256,
            "result": self.result,
            "manifest": self.manifest,
            "networkCut": self.network_cut,
        }


@dataclass(frozen=True)
class Audited:
    """What a verdict is about and what it was reached with; `assembler` is the auditor's own hash."""

    name: str
    digest: str
    commit: str
    lock_sha256: str
    assembler: str
    machine: str
    time: datetime
    rebuilds: tuple[RebuildResult, ...] = ()


def verdict_statement(verdict: Verdict, audited: Audited) -> dict[str, Any]:
    """The statement: result, cause, first differences, and what was rebuilt from."""
    reproduced = verdict.result in {"identical", "same-content"}
    predicate = {
        "verifier": {"id": VERIFIER, "version": {"imagelock-source-sha256": audited.assembler}},
        "timeCreated": audited.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "properties": ["IMAGELOCK_REPRODUCED"] if reproduced else [],
        "imagelock": {
            "result": verdict.result,
            "sentence": verdict.sentence,
            "differences": list(verdict.differences),
            "digests": dict(verdict.digests),
            "commit": audited.commit,
            "lockSha256": audited.lock_sha256,
            "machine": audited.machine,
            "rebuilds": [made.to_json() for made in audited.rebuilds],
        },
    }
    return make_statement(audited.name, audited.digest, VERDICT_TYPE, predicate)


def pre_authentication(payload: bytes) -> bytes:
    """DSSE's PAE: what is really signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: Path) -> dict[str, Any]:
    """An envelope around the payload; ImageError when openssl or the key will not do."""
    if not key.is_file():
        raise ImageError(f"there is no key {key}: make one by `openssl genpkey -algorithm ed25519 -out "
                         f"{key}`", code="missing")  # fmt: skip
    with TemporaryDirectory() as scratch:
        message, signature = Path(scratch, "message"), Path(scratch, "signature")
        message.write_bytes(pre_authentication(payload))
        openssl(["pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", str(message),
                 "-out", str(signature)], key)  # fmt: skip
        made = signature.read_bytes()
    public = openssl(["pkey", "-in", str(key), "-pubout", "-outform", "DER"], key)
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": hashlib.sha256(public).hexdigest(),
                "sig": base64.b64encode(made).decode(),
            }
        ],
    }


def verify(envelope: bytes, public_key: Path) -> dict[str, Any]:
    """The statement of an envelope; ImageError unless the key's signature is on it."""
    try:
        parsed = json.loads(envelope)
        payload = base64.b64decode(parsed["payload"], validate=True)
        signature = base64.b64decode(parsed["signatures"][0]["sig"], validate=True)
        right_type = parsed["payloadType"] == PAYLOAD_TYPE
    except (ValueError, LookupError, TypeError) as error:
        raise ImageError(f"this is not a signed statement: {error}", code="corrupt") from None
    if not right_type:
        raise ImageError(f"the envelope holds {parsed['payloadType']!r}, not {PAYLOAD_TYPE}")
    if not public_key.is_file():
        raise ImageError(f"there is no key {public_key}: take it out of the private one by `openssl pkey -in "
                         f"PRIVATE -pubout -out {public_key}`", code="missing")  # fmt: skip
    if b"PRIVATE KEY-----" in public_key.read_bytes():
        raise ImageError(f"{public_key} is a private key, and verdicts are checked by public ones: take it "
                         f"out by `openssl pkey -in {public_key} -pubout -out PUBLIC`")  # fmt: skip
    with TemporaryDirectory() as scratch:
        message, signed = Path(scratch, "message"), Path(scratch, "signature")
        message.write_bytes(pre_authentication(payload))
        signed.write_bytes(signature)
        openssl(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public_key),
                 "-in", str(message), "-sigfile", str(signed)], public_key)  # fmt: skip
    statement: dict[str, Any] = json.loads(payload)
    return statement


def openssl(arguments: Sequence[str], key: Path) -> bytes:
    """Run openssl; ImageError names the key and its complaint."""
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise ImageError("openssl is not installed, and signatures are its work: install it or "
                         "leave the key away", code="missing") from None  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise ImageError(f"openssl does not accept {key} (an Ed25519 key in PEM form) or the "
                         f"signature: {said[-1] if said else 'no word'}", code="corrupt")  # fmt: skip
    return done.stdout
