"""Native coroutines for tests: text, since Python 2.7 compiles every test too."""
from __future__ import absolute_import

import sys
import textwrap

import pytest
from tornado import gen

#: a test that has a native coroutine in it
needs_native = pytest.mark.skipif(sys.version_info < (3, 6), reason="async and await are Python 3's")
#: one that makes tasks, which only a Tornado on asyncio runs
needs_tasks = pytest.mark.skipif(sys.version_info < (3, 7), reason="tasks are asyncio's")


def functions(text, **names):
    """Return what the functions that a text defines are, by name; ``names`` are what it uses."""
    exec(compile(textwrap.dedent(text), "native", "exec"), names)
    return names


def run(text, *args, **names):
    """Return a Future of what ``async def main(...)`` of the text returns."""
    return gen.convert_yielded(functions(text, **names)["main"](*args))
