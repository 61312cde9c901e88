import pytest
from knitfab.errors import KnitError
from knitfab.image import parse_image, split_tag


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("busybox:1.36", "busybox:1.36"),
        ("busybox", "busybox:latest"),
        ("busybox:", "busybox:latest"),
        ("docker.io/x/y:1", "index.docker.io/x/y:1"),
        ("localhost:5000/xx", "localhost:5000/xx:latest"),
        ("localhost/xx:v", "localhost/xx:v"),
        ("registry.example:5000/a/b_c/d-e.f:V1_2-3.4", "registry.example:5000/a/b_c/d-e.f:V1_2-3.4"),
    ],
)
def test_stored_form(text: str, stored: str) -> None:
    assert str(parse_image(text)) == stored
    assert str(parse_image(stored)) == stored


@pytest.mark.parametrize(
    "text",
    ["", "x", "BusyBox:1", "a:b:c", "bb:ü", "bb:" + "t" * 129, "b b:1", "x" * 256, "h t.example/x"],
)
def test_refused(text: str) -> None:
    with pytest.raises(KnitError) as error:
        parse_image(text)
    assert error.value.code == "invalid"


def test_digest_is_refused_with_a_remedy() -> None:
    with pytest.raises(KnitError, match="keep the digest in an annotation"):
        parse_image("busybox@sha256:" + "0" * 64)


def test_only_the_last_segment_has_a_tag() -> None:
    assert split_tag("repo:5000/img") == ("repo:5000/img", "")
    assert split_tag("repo:5000/img:v1") == ("repo:5000/img", "v1")
    assert split_tag("repo:5000/img:") == ("repo:5000/img", "")
