"""What the tests' own runner sees: exceptions that reached nobody fail the test."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen

from tests import loop


class Knot(object):
    """Holds itself, and a Future."""

    def __init__(self, future):
        self.future = future
        self.knot = self


def failed():
    future = concurrent.Future()
    future.set_exception(ValueError("nobody looks at this"))
    return future


@pytest.mark.parametrize("wrap", [lambda future: None, Knot], ids=["alone", "in a cycle"])
def test_an_exception_that_nobody_looked_at(wrap):
    @gen.coroutine
    def body():
        wrap(failed())
        yield gen.sleep(0.001)
    with pytest.raises(AssertionError, match="nobody looks at this"):
        loop.run(body)


def test_one_that_was_looked_at():
    @gen.coroutine
    def body():
        with pytest.raises(ValueError):
            yield failed()
    loop.run(body)


def test_in_a_callback():
    @gen.coroutine
    def body():
        loop.ioloop.IOLoop.current().add_callback(lambda: 1 // 0)
        yield gen.sleep(0.001)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        loop.run(body)
