from __future__ import absolute_import

import gc
import logging
import sys
import threading
import time
import traceback

import mock
import pytest
import six
from tornado import concurrent, gen, ioloop, testing

from kiel import events


def test_wait_on_event_with_a_timeout_waits_once():
    event = mock.Mock()
    event.is_set.return_value = False
    assert events.wait_on_event(event, timeout=8) is None
    event.wait.assert_called_once_with(8)


def test_wait_on_event_on_python_3():
    event = mock.Mock()
    with mock.patch.object(events.six, "PY2", False):
        assert events.wait_on_event(event) is None
    event.wait.assert_called_once_with()


@pytest.mark.skipif(not six.PY2, reason="sys.maxint is Python 2's")
def test_wait_on_event_on_python_2_repeats():
    event = mock.Mock()
    event.is_set.side_effect = [False, False, True]
    assert events.wait_on_event(event) is None
    assert event.wait.mock_calls == [mock.call(sys.maxint)] * 2


class CrossingTest(testing.AsyncTestCase):
    """Calls out to a thread and back."""

    @testing.gen_test
    def test_result_comes_on_the_loop_while_it_ticks(self):
        ticks = []
        ticker = ioloop.PeriodicCallback(lambda: ticks.append(1), 10)
        ticker.start()
        threads = []

        def work(a, b):
            threads.append(threading.current_thread())
            time.sleep(0.2)
            return a + b

        future = events.run_blocking(self.io_loop, work, 1, b=2)
        resolved_in = []
        future.add_done_callback(lambda f: resolved_in.append(threading.current_thread()))
        assert (yield future) == 3
        yield gen.moment
        ticker.stop()
        assert len(ticks) > 5
        assert threads[0] is not threading.current_thread()
        assert resolved_in == [threading.current_thread()]

    @testing.gen_test
    def test_exception_comes_with_its_traceback(self):
        def work_that_fails():
            raise ValueError("no")

        with pytest.raises(ValueError) as caught:
            yield events.run_blocking(self.io_loop, work_that_fails)
        assert "work_that_fails" in [frame[2] for frame in traceback.extract_tb(caught.tb)]

    @testing.gen_test
    def test_an_exception_that_nobody_fetches_is_not_logged(self):
        def fail():
            raise ValueError("no")

        lines = []
        handler = logging.Handler()
        handler.emit = lines.append
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).addHandler(handler)
        try:
            events.run_blocking(self.io_loop, fail)
            yield gen.sleep(0.1)
            gc.collect()
        finally:
            for name in ("asyncio", "tornado.application"):
                logging.getLogger(name).removeHandler(handler)
        assert lines == []

    @testing.gen_test
    def test_calls_from_a_thread_keep_their_order(self):
        seen = []

        def work():
            for number in range(50):
                events.call_on_loop(self.io_loop, seen.append, number)

        yield events.run_blocking(self.io_loop, work)
        assert seen == list(range(50))

    def test_call_on_a_closed_loop_is_dropped(self):
        loop = ioloop.IOLoop(make_current=False)
        loop.close()
        called = []
        raised = []

        def work():
            try:
                events.call_on_loop(loop, called.append, 1)
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert (called, raised) == ([], [])

    @testing.gen_test
    def test_a_future_done_meanwhile_is_left_alone(self):
        go = threading.Event()
        future = events.run_blocking(self.io_loop, go.wait, 5)
        future.set_result("mine")
        go.set()
        yield gen.sleep(0.1)
        assert future.result() == "mine"


class HelpersTest(testing.AsyncTestCase):
    """The few things that are done to Futures."""

    def test_a_future_is_settled_once(self):
        first, second = concurrent.Future(), concurrent.Future()
        assert events.settle(first, 1) is True
        assert events.settle(first, 2) is False
        assert events.settle(first, error=ValueError()) is False
        assert first.result() == 1
        assert events.settle(second, error=ValueError("no")) is True
        with pytest.raises(ValueError):
            second.result()

    def test_a_cancelled_future_is_left_alone(self):
        future = concurrent.Future()
        if not future.cancel():  # Tornado's own Futures, on Python 2, can't be cancelled
            return
        assert events.settle(future, 1) is False

    def test_stop_iteration_is_an_error_like_others(self):
        future = concurrent.Future()
        assert events.settle(future, error=StopIteration())
        with pytest.raises(RuntimeError):
            future.result()

    @testing.gen_test
    def test_what_is_ignored_is_not_logged(self):
        lines = []
        handler = logging.Handler()
        handler.emit = lines.append
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).addHandler(handler)
        try:
            early, late, cancelled = concurrent.Future(), concurrent.Future(), concurrent.Future()
            early.set_exception(ValueError("no"))
            for future in (early, late, cancelled):
                assert events.ignore(future) is future
            late.set_exception(ValueError("no"))
            cancelled.cancel()
            yield gen.moment
            yield gen.moment
            del early, late, cancelled, future
            gc.collect()
        finally:
            for name in ("asyncio", "tornado.application"):
                logging.getLogger(name).removeHandler(handler)
        assert lines == []

    @testing.gen_test
    def test_the_outcome_of_a_value_a_future_and_a_coroutine(self):
        future = concurrent.Future()
        future.set_result(2)
        assert (yield events.outcome_of(1)) == 1
        assert (yield events.outcome_of(future)) == 2
        if not six.PY2:
            space = {}
            exec("async def three():\n    return 3\n", space)
            assert (yield events.outcome_of(space["three"]())) == 3
