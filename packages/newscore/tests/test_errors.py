"""run_main: exit codes, one sentence, and a SIGTERM that lets `finally` blocks run."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from newscore.errors import NewsError, run_main


def failing(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


def test_a_run_that_ends_well_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("prog", lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_what_the_user_can_mend_is_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("prog", failing(NewsError("x = 3 is too large: give 2."))) == 2
    assert capsys.readouterr() == ("", "prog: x = 3 is too large: give 2.\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_fault_of_the_disk_is_2_and_names_the_file(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("prog", failing(OSError(number, "text", "/some/file"))) == 2
    out = capsys.readouterr().err
    assert out.startswith("prog: /some/file: ")
    assert out.count("\n") == 1


def test_no_memory_is_2_and_one_line() -> None:
    program = (
        "import resource, sys; from newscore.errors import run_main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "sys.exit(run_main('prog', lambda: bytearray(2**31) and None))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("prog: the memory is used up")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_main("prog", failing(ZeroDivisionError()))
    with pytest.raises(OSError, match="odd"):
        run_main("prog", failing(OSError(errno.EIO, "odd")))
    with pytest.raises(RuntimeError, match="memory of"):
        run_main("prog", failing(RuntimeError("no memory of that")))


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("prog", failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "prog: interrupted\n"


def test_the_code_is_invalid_unless_said() -> None:
    assert NewsError("x").code == "invalid"
    assert NewsError("x", "missing").code == "missing"


def test_the_handler_of_sigterm_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_main("prog", lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_cleans_up_what_was_being_written(number: int, code: int, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from newscore.errors import run_main
        from newscore.folder import staged_folder

        def run():
            with staged_folder(Path(sys.argv[1])) as folder:
                (folder / "half").write_text("half")
                print("ready", flush=True)
                time.sleep(60)

        sys.exit(run_main("prog", run))
    """)
    command = [sys.executable, "-c", program, str(tmp_path / "deep" / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_stops_reading_is_no_bug() -> None:
    program = (
        "from newscore.errors import run_main; import sys\n"
        "sys.exit(run_main('prog', lambda: print(*range(200000), sep='\\n')))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
        process.wait(timeout=30)
    assert complaint == b""
    assert process.returncode == 141
