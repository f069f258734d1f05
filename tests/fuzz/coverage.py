"""
Which lines and branches of kiel an input reaches that none reached before.

By `sys.monitoring` (Python 3.12 and later), which costs next to nothing once a place is known: an event that is
answered with DISABLE does not come again. Before that, nothing is followed and inputs are made from the seeds alone.
"""
from __future__ import absolute_import

import sys

TOOL = 3


class Coverage(object):
    """Counts places of kiel's code as they are reached for the first time; a context manager."""

    def __init__(self):
        self.places = 0
        self.possible = hasattr(sys, "monitoring")
        self._branches = {}
        self._ours = {}

    def __enter__(self):
        if self.possible:
            watch = sys.monitoring
            watch.use_tool_id(TOOL, "kiel fuzz")
            watch.register_callback(TOOL, watch.events.LINE, self._line)
            watch.register_callback(TOOL, watch.events.BRANCH, self._branch)
            watch.set_events(TOOL, watch.events.LINE | watch.events.BRANCH)
        return self

    def __exit__(self, *exc_info):
        if self.possible:
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)

    def _is_ours(self, code):
        found = self._ours.get(code)
        if found is None:
            name = code.co_filename
            # what `kiel.protocol.part` compiles has a name such as <kiel.protocol.fetch.FetchResponse version 4>
            found = self._ours[code] = name.startswith("<kiel.") or "/kiel/" in name and "/tests/" not in name
        return found

    def _line(self, code, line):
        if self._is_ours(code):
            self.places += 1
        return sys.monitoring.DISABLE

    def _branch(self, code, offset, destination):
        if not self._is_ours(code):
            return sys.monitoring.DISABLE
        seen = self._branches.setdefault((code, offset), [])
        if destination not in seen:
            seen.append(destination)
            self.places += 1
        # DISABLE silences both ways out of a branch: only when both are known
        return sys.monitoring.DISABLE if len(seen) > 1 else None
