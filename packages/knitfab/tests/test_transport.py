"""The socket level: TLS with one's own CA, answers that come before the upload is read."""

import base64
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from knitfab.client import HttpEngine
from knitfab.errors import KnitError
from knitfab.profiles import open_engine

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
TOO_LARGE = b'HTTP/1.1 413 No\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"message":"big"}'


def _certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one PEM file each."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "newsloom test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "ca.pem"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def _serve(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_tls_trusts_the_ca_of_the_profile_alone(listener: socket.socket, tmp_path: Path) -> None:
    ca_file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, tmp_path / "key.pem")
    api_root = f"https://127.0.0.1:{listener.getsockname()[1]}/api"

    def answer_three() -> None:
        for _ in range(3):
            peer, _address = listener.accept()
            with peer:
                try:
                    with context.wrap_socket(peer, server_side=True) as secure:
                        secure.recv(1 << 16)
                        secure.sendall(EMPTY)
                except OSError:
                    continue

    thread = _serve(answer_three)
    profile = tmp_path / "knitprofile"
    encoded = base64.b64encode(ca_file.read_bytes()).decode()
    profile.write_text(f"apiRoot: {api_root}\ncert:\n  ca: {encoded}\n")
    assert open_engine(str(profile), {}).find_runs() == []
    assert HttpEngine(api_root, ca_file=ca_file).find_runs() == []
    with pytest.raises(KnitError, match="certificate is not trusted") as error:
        HttpEngine(api_root).find_runs()
    assert error.value.code == "unreachable"
    thread.join()


def test_missing_ca_file(tmp_path: Path) -> None:
    with pytest.raises(KnitError, match="no PEM certificate"):
        HttpEngine("https://127.0.0.1:1/api", ca_file=tmp_path / "none.pem")


def test_an_answer_before_the_upload_is_read_counts(listener: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 200_000)

    def refuse() -> None:
        peer, _address = listener.accept()
        with peer:
            peer.recv(1 << 12)
            peer.sendall(TOO_LARGE)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 20):
                pass

    thread = _serve(refuse)
    with pytest.raises(KnitError, match="big") as error:
        HttpEngine(f"http://127.0.0.1:{listener.getsockname()[1]}/api").push_data(tmp_path)
    assert error.value.code == "too_large"
    thread.join()


def test_a_server_that_is_no_http(listener: socket.socket) -> None:
    def babble() -> None:
        peer, _address = listener.accept()
        with peer:
            peer.recv(1 << 12)
            peer.sendall(b"220 mail.example ESMTP\r\n")

    thread = _serve(babble)
    with pytest.raises(KnitError) as error:
        HttpEngine(f"http://127.0.0.1:{listener.getsockname()[1]}/api").find_runs()
    assert error.value.code == "unreachable"
    thread.join()
