"""Options and fixtures of all tests."""

import faulthandler
import gc
import os
import signal
from pathlib import Path, PurePath

import pytest
from certificates import Authority
from xdist.scheduler import LoadScopeScheduling

from encserve_server.steps.instance import loops

# Shells start background jobs with Ctrl-C ignored, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def fail_in_place_of_ending():
    """Of a thread of a step that cannot go on: here it would end the tests, without a word."""
    raise RuntimeError("a thread of a step would have ended its process")


loops.end_process = fail_in_place_of_ending

# What is imported and collected stays: to look through it for garbage again and again took a sixth of the collection.
gc.disable()
# A fork has none of the threads that the end of an ONNX Runtime session waits for.
os.register_at_fork(after_in_child=gc.disable)

# With a process for each core, threads of torch would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


FIRST = ("life/versions", "life", "tasks", "planning", "answers")
"""Folders of `integration` that take longest, so that no process is still at one when all others have ended. A room
among them shares no server with the others of its folder, and stands before it: a test belongs to the first of these
in which it lies."""
TOGETHER = {"alerts": "planning"}
"""Folders whose tests the process has that has those of another: it floods a server, and would take the cores on which
plans are measured."""


class ByFile(LoadScopeScheduling):
    """For several processes: tests of real servers stay together by folder of `integration`, which share servers, and
    others by file, which share what they prepare. The folders come first, as they take longest."""

    def _split_scope(self, nodeid):
        return folder_of(nodeid) or nodeid.partition("::")[0]

    def remove_node(self, node):
        """Where a process has died, xdist hands out again all that it had. Of what was whole nothing is left to run,
        and who is given that waits for its end for ever."""
        had = self.assigned_work[node]
        self.assigned_work[node] = {scope: tests for scope, tests in had.items() if not all(tests.values())}
        return super().remove_node(node)


def folder_of(nodeid):
    """The folder of `integration` with which a test goes to a process; None of other tests."""
    file = PurePath(nodeid.partition("::")[0])
    if "integration" not in file.parts:
        return None
    within = file.parts[file.parts.index("integration") + 1 :]
    for folder in map(PurePath, FIRST):
        if within[: len(folder.parts)] == folder.parts:
            return str(folder)
    return TOGETHER.get(within[0], within[0])


def place_of(nodeid):
    """Of the folder of a test in `FIRST`, and of others the place after the last."""
    folder = folder_of(nodeid)
    return FIRST.index(folder) if folder in FIRST else len(FIRST)


def pytest_collection_modifyitems(items):
    """Where several processes share the tests, those of `FIRST` begin."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: place_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


def pytest_configure():
    """Let a process that is told to end say where it was: a worker that is gone says nothing."""
    stderr = os.dup(2)  # which pytest has taken while files like this are read, and while tests run

    def say_where(number, frame):
        os.write(stderr, f"{signal.Signals(number).name} came to {os.environ.get('PYTEST_CURRENT_TEST')}\n".encode())
        faulthandler.dump_traceback(stderr)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    for deadly in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(deadly, say_where)


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, for review")
    parser.addoption("--matrix", metavar="FAMILIES", help="all, or a comma-separated list: run these with every task")
    parser.addoption(
        "--soak-s", type=float, default=120, metavar="SECONDS", help="how long the soak lasts (default 120)"
    )
    parser.addoption(
        "--exports", type=Path, metavar="FOLDER", help="keep the exports that tests share for another run of this code"
    )
    parser.addoption("--require-gpu", action="store_true", help="a test that needs a GPU and finds none fails")
    parser.addoption("--update-models", action="store_true", help="write what --matrix measured into docs/models.md")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What was imported stays until the end, and need not be looked through for garbage again and again. A trace of a
    network makes a million objects that stay until it ends: looking through them took a fifth of its time."""
    collected = yield
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)
    gc.enable()
    return collected


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """With `--require-gpu` a test marked `gpu` that skips itself has failed, with the reason it gave."""
    report = yield
    if report.skipped and item.get_closest_marker("gpu") and item.config.getoption("--require-gpu"):
        file, line, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"{file}:{line}: {reason}, and --require-gpu has it run"
    return report


def pytest_terminal_summary(terminalreporter):
    """Print the first failure of each test that `--reruns` ran again, of which pytest shows a letter alone."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"RERUN {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture
def update_golden(request):
    """Whether golden files are to be written instead of compared."""
    return request.config.getoption("--update-golden")


@pytest.fixture(scope="session")
def exports(request, tmp_path_factory):
    """Where the processes of a run keep what they export for each other, and for another run where `--exports` asks."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = (request.config.getoption("--exports") or base / "exports").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority of our own."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")
