import io

from newsjudge.progress import Progress, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_tells_rate_and_time_left() -> None:
    assert progress_line("cells", 120, 400, 15.0, 0) == "120 of 400 cells, 8.0/s, 0:35 left"
    assert progress_line("cells", 400, 400, 100.0, 2) == "400 of 400 cells, 4.0/s, 1:40 in all, 2 unscored"
    assert progress_line("cells", 1, 40000, 1.0, 0).endswith("11:06:39 left")
    assert progress_line("cells", 0, 10, 0.0, 0) == "0 of 10 cells, 0.0/s"


def test_plain_lines_when_not_a_terminal() -> None:
    stream = io.StringIO()
    with Progress("cells", 2, stream=stream) as progress:
        progress.advance()
        progress.advance(failed=True)
    assert stream.getvalue().startswith("2 of 2 cells")
    assert "\r" not in stream.getvalue()
    assert "1 unscored" in stream.getvalue()


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    with Progress("cells", 1, stream=stream) as progress:
        progress.advance()
    assert "█" * 28 in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_nothing_is_said_of_nothing() -> None:
    stream = io.StringIO()
    with Progress("cells", 5, stream=stream):
        pass
    assert stream.getvalue() == ""
