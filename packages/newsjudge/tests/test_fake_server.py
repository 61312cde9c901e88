import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from newscore.errors import NewsError
from newsjudge.fake_server import FakeServer
from newsjudge.providers.fake import FakeScript

PROMPT = "Actual Output:\ncats \n\nExpected Output:\ncats \n\nJSON:"


def post(url: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, object] = json.load(response)
    return found


def test_it_speaks_the_chat_api() -> None:
    with FakeServer(FakeScript(logprobs=True)) as server:
        body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "logprobs": True}
        response = post(server.base_url, body)
    assert '"score": 2' in str(response["choices"])
    assert "top_logprobs" in str(response["choices"])
    assert server.asked == [PROMPT]


def test_what_is_no_request_gets_a_400() -> None:
    with FakeServer(FakeScript()) as server:
        bodies: list[object] = [[], {}, {"messages": []}, {"messages": "no"}]
        for body in bodies:
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(server.base_url, body)
            assert refused.value.code == 400
            refused.value.close()


def test_a_port_that_is_taken_is_named() -> None:
    with FakeServer(FakeScript()) as server:
        port = int(server.base_url.split(":")[2].split("/")[0])
        with pytest.raises(NewsError, match=f"port {port} .*--port"):
            FakeServer(FakeScript(), port=port)


def test_the_command_prints_its_url_and_ends_on_sigterm() -> None:
    program = "import sys; from newsjudge.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "fake-server"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.rsplit(" ", 1)[1].strip()
    assert post(url, {"messages": [{"role": "user", "content": PROMPT}]})["object"] == "chat.completion"
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143
