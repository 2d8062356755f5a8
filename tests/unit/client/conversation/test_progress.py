import io

from encserve._conversation.progress import Progress, describe


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_describe():
    assert describe(4160, 10_000, elapsed_s=4.16) == "4160 of 10000 texts, 1000/s, 0:06 left"
    assert describe(100, 100, elapsed_s=2.0) == "100 of 100 texts, 50/s"
    assert describe(100, None, elapsed_s=2.0) == "100 texts, 50/s"
    assert describe(0, 10, elapsed_s=0.0) == "0 of 10 texts, 0/s"


def test_bar_on_a_terminal():
    now = [0.0]
    stream = Terminal()
    progress = Progress(4, stream=stream, clock=lambda: now[0])
    progress.update(1)  # too soon
    now[0] = 1.0
    progress.update(2)
    now[0] = 2.0
    progress.close(4)
    assert stream.getvalue() == (
        "\r\x1b[K[############............] 2 of 4 texts, 2/s, 0:01 left"
        "\r\x1b[K[########################] 4 of 4 texts, 2/s\n"
    )


def test_lines_elsewhere():
    now = [0.0]
    stream = io.StringIO()
    progress = Progress(None, stream=stream, clock=lambda: now[0])
    for now[0] in range(21):
        progress.update(10 * now[0])
    progress.close(200)
    assert stream.getvalue().splitlines() == ["100 texts, 10/s", "200 texts, 10/s", "200 texts, 10/s"]
