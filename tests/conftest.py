"""What every run of the tests says at its end: which of kiel's loops it ran."""
from __future__ import absolute_import

import logging
import signal

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # as a shell has it for what runs in the background; processes that tests start and interrupt would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """One line, which ``tools/test_all.py`` repeats in its summary."""
    from kiel import speedups
    terminalreporter.write_line("speedups: %s" % speedups.describe())


@pytest.fixture(autouse=True, scope="session")
def secrets_watch():
    """Watch over the secrets of the tests, see `tests.secrets_watch`."""
    from tests.secrets_watch import Watch
    watch = Watch()
    watch.install()
    return watch


@pytest.fixture(autouse=True)
def no_secret_is_told(request, secrets_watch):
    """Fail a test in which a secret was told."""
    from tests.secrets_watch import LOUD
    logger = logging.getLogger("kiel")
    level = logger.level
    if any(word in request.node.nodeid for word in LOUD):
        logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(level)
    told, secrets_watch.leaks[:] = list(secrets_watch.leaks), []
    assert not told
