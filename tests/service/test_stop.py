"""`kiel.service.GracefulStop`: with real signals, on the loop of each Tornado."""
from __future__ import absolute_import

import logging
import os
import signal
import threading

import pytest
from tornado import gen

from kiel.service import GracefulStop

from tests import loop, raised


def on_loop(test):
    """Runs a generator function on a loop of its own; afterwards the signals are as before."""
    def run(**kwargs):
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        loop.run(lambda: gen.coroutine(test)(**kwargs))
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    run.__name__ = test.__name__
    return run


def step(done, name, seconds=0.0):
    """A step that takes its time."""
    @gen.coroutine
    def work():
        done.append("begin " + name)
        yield gen.sleep(seconds)
        done.append("end " + name)
    return work


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_off_the_steps_in_their_order(number):
    @on_loop
    def check():
        done = []
        stop = GracefulStop()
        stop.then(step(done, "a", 0.02), lambda: done.append("b"), step(done, "c"))
        waiting = stop.wait()
        yield gen.sleep(0.01)
        assert not waiting.done() and not done
        os.kill(os.getpid(), number)
        assert (yield loop.within(2, waiting)) is True
        assert done == ["begin a", "end a", "b", "begin c", "end c"]
    check()


@on_loop
def test_the_second_signal_does_what_it_did_before():
    seen = []
    mine = signal.signal(signal.SIGTERM, lambda *_: seen.append("mine"))
    try:
        stop = GracefulStop()
        os.kill(os.getpid(), signal.SIGTERM)
        yield loop.within(2, stop.requested)
        assert not seen
        os.kill(os.getpid(), signal.SIGTERM)
        yield loop.until(lambda: seen)
        assert (yield stop.wait()) is True
    finally:
        signal.signal(signal.SIGTERM, mine)


@on_loop
def test_a_step_that_is_late_is_left_alone_and_those_after_it_are_called():
    done = []
    stop = GracefulStop(seconds=0.1, signals=())
    stop.then(step(done, "a"), lambda: gen.Future(), step(done, "b", 60), lambda: done.append("c"))
    stop.request()
    assert (yield loop.within(2, stop.wait())) is False
    assert done == ["begin a", "end a", "begin b", "c"]


@pytest.mark.parametrize("failure", raised.ERRORS, ids=raised.NAMES)
def test_a_step_that_fails_does_not_keep_the_others(failure):
    @on_loop
    def check():
        done = []

        def fail():
            raise failure

        @gen.coroutine
        def fail_too():
            yield gen.moment
            raise ValueError("later")

        stop = GracefulStop(signals=[])
        stop.then(fail, fail_too, lambda: done.append("end"))
        stop.request()
        logging.disable(logging.CRITICAL)
        try:
            assert (yield loop.within(2, stop.wait())) is False
        finally:
            logging.disable(logging.NOTSET)
        assert done == ["end"]
    check()


@on_loop
def test_what_is_watched_ends_the_process_and_its_error_is_raised():
    @gen.coroutine
    def fail():
        yield gen.sleep(0.01)
        raise KeyError("color")

    done = []
    stop = GracefulStop()
    stop.then(lambda: done.append("end"))
    stop.watch(fail())
    stop.watch(gen.Future())
    yield loop.raises(KeyError, stop.wait())
    assert done == ["end"]


@on_loop
def test_what_is_watched_may_end_well():
    stop = GracefulStop()
    assert (yield stop.watch(gen.maybe_future(5))) == 5
    assert (yield loop.within(2, stop.wait())) is True
    stop.request()


@on_loop
def test_wrong_arguments_are_refused():
    for seconds, kind in ((-1, ValueError), ("1", TypeError)):
        with pytest.raises(kind):
            GracefulStop(seconds=seconds)
    stop = GracefulStop(signals=[])
    with pytest.raises(TypeError):
        stop.then(gen.maybe_future(None))
    yield gen.moment


def test_another_thread_can_not_take_signals():
    errors = []

    def work():
        def make():
            try:
                GracefulStop()
            except (ValueError, RuntimeError) as error:
                errors.append(error)
            return gen.maybe_future(None)
        loop.run(make)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(errors) == 1
