import base64
import json
from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.profiles import find_profile, find_profile_name, open_engine, read_knitenv
from knitfab.records import Tag

PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_url() -> None:
    assert open_engine("http://host:1/api/", {}).api_root == "http://host:1/api"


def test_handout_file(tmp_path: Path) -> None:
    ca = base64.b64encode(PEM.encode()).decode()
    path = _write(tmp_path / "knitprofile", f"apiRoot: https://host:30803/api/\ncert:\n  ca: {ca}\n")
    profile = find_profile(str(path), {})
    assert (profile.api_root, profile.ca_pem) == ("https://host:30803/api", PEM)


def test_handout_without_a_ca(tmp_path: Path) -> None:
    path = _write(tmp_path / "knitprofile", "apiRoot: https://host:30803/api\ncert: {}\n")
    assert find_profile(str(path), {}).ca_pem is None


def test_bad_certificate_is_named(tmp_path: Path) -> None:
    ca = base64.b64encode(b"no certificate").decode()
    path = _write(tmp_path / "knitprofile", f"apiRoot: https://host:1/api\ncert: {{ca: {ca}}}\n")
    with pytest.raises(KnitError, match="no PEM certificate"):
        open_engine(str(path), {})
    path.write_text("apiRoot: https://host:1/api\ncert: {ca: '***'}\n")
    with pytest.raises(KnitError, match="not base64"):
        find_profile(str(path), {})


def test_root_folder_of_a_running_knitlite(tmp_path: Path) -> None:
    _write(tmp_path / "endpoint", json.dumps({"api_root": "http://127.0.0.1:8030/api", "pid": 1}))
    assert find_profile(str(tmp_path), {}).api_root == "http://127.0.0.1:8030/api"


def test_named_profile(tmp_path: Path) -> None:
    store = _write(tmp_path / "profile", "dev:\n  apiRoot: http://dev:1/api\n  cert: {}\n")
    environ = {"KNIT_PROFILE_STORE": str(store), "KNIT_PROFILE": "dev"}
    assert open_engine(None, environ).api_root == "http://dev:1/api"
    with pytest.raises(KnitError, match=r"has no profile 'prod' \(it has: dev\)"):
        find_profile("prod", environ)


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(KnitError, match="give the API root") as error:
        find_profile("dev", {"KNIT_PROFILE_STORE": str(tmp_path / "none")})
    assert error.value.code == "missing"
    with pytest.raises(KnitError, match="no knitlite serves"):
        find_profile(str(tmp_path), {"KNIT_PROFILE_STORE": str(tmp_path / "none")})


def test_api_root_must_be_a_url(tmp_path: Path) -> None:
    path = _write(tmp_path / "knitprofile", "apiRoot: host:1/api\n")
    with pytest.raises(KnitError, match="knitprofile: 'host:1/api' is no API root"):
        find_profile(str(path), {})


def test_project_file_is_found_upwards(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_profile_name(deep) == str(deep)
    _write(tmp_path / ".knitprofile", "  dev  \nrest\n")
    assert find_profile_name(deep) == "dev"


def test_knitenv_nearest_wins(tmp_path: Path) -> None:
    deep = tmp_path / "a"
    deep.mkdir()
    assert read_knitenv(deep).tags == ()
    _write(tmp_path / "knitenv", "tag: ['a:b', 'knit#id:x']\nresource: {cpu: 1, memory: 2048Mi}\n")
    env = read_knitenv(deep)
    assert (env.tags, env.resources) == ((Tag("a", "b"),), {"cpu": "1", "memory": "2Gi"})
    _write(deep / "knitenv", "")
    assert read_knitenv(deep).tags == ()


def test_token_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(KnitError, match="KNIT_TOKEN_FILE"):
        open_engine("http://host:1/api", {"KNIT_TOKEN_FILE": str(tmp_path / "none")})


def test_files_that_are_no_text_are_told(tmp_path: Path) -> None:
    binary = tmp_path / ".knitprofile"
    binary.write_bytes(b"\xff")
    with pytest.raises(KnitError, match="knitprofile is not UTF-8"):
        find_profile_name(tmp_path)
    with pytest.raises(KnitError, match=r"KNIT_TOKEN_FILE: .* is not UTF-8"):
        open_engine("http://host:1/api", {"KNIT_TOKEN_FILE": str(binary)})
