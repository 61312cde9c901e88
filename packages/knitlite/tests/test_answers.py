"""Lists as they travel: in pieces or whole, they say the same."""

import json

import pytest
from knitfab.jsonvalue import render_json
from knitlite.http.answers import answer_list
from knitlite.http.exchange import Request, Response

from .test_guard import NoBody


def sent(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


@pytest.mark.parametrize("count", [0, 1, 256, 257, 512, 600])
@pytest.mark.parametrize("query", ["", "pretty"])
def test_a_list_of_any_length(count: int, query: str) -> None:
    values = [{"number": number, "text": "<ü>"} for number in range(count)]
    request = Request("GET", "/api/data", query, {}, NoBody())
    items = [render_json(value).decode().strip() for value in values]
    body = sent(answer_list(request, items))
    assert body == render_json(values, pretty=bool(query))
    assert json.loads(body) == values
