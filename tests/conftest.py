"""What every run of the tests says at its end: which of kiel's loops it ran."""
from __future__ import absolute_import


def pytest_terminal_summary(terminalreporter):
    """One line, which ``tools/test_all.py`` repeats in its summary."""
    from kiel import speedups
    terminalreporter.write_line("speedups: %s" % speedups.describe())
