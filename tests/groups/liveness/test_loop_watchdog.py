from __future__ import absolute_import

import logging
import os
import threading
import time

from tornado import gen, ioloop

from kiel.events import is_closed
from kiel.groups.liveness import loop_watchdog
from kiel.groups.liveness.loop_watchdog import LoopWatchdog, blocked_by, name_of

from tests import loop
from tests.groups.liveness.test_heartbeat import lines_of, patched

#: seconds after which a handler ends in any case
LONG = 10

THIS = os.path.splitext(os.path.basename(__file__))[0] + ".py"


class Own(object):
    """A loop in a thread for the watchdog to run on; a context manager that gives the watchdog."""

    def __init__(self, io_loop, slow_callback, period=1.0):
        self.watchdog = LoopWatchdog(io_loop, slow_callback, period, "group g")
        self.loop = ioloop.IOLoop(make_current=False)
        self.thread = threading.Thread(target=self.run)
        self.thread.daemon = True

    def run(self):
        self.loop.add_callback(self.watchdog.start, self.loop)
        self.loop.start()
        self.loop.close()

    def __enter__(self):
        self.thread.start()
        return self.watchdog

    def __exit__(self, *exc_info):
        self.loop.add_callback(self.watchdog.stop)
        self.loop.add_callback(self.loop.stop)
        self.thread.join(5)
        assert not self.thread.is_alive()


def handle_order(watching, password="pa55word"):
    """A handler with something to hide."""
    card = "4111" + password
    sleep_a_while(watching)
    return card


def sleep_a_while(watching):
    begun = time.time()
    while watching.culprit is None and time.time() < begun + LONG:
        time.sleep(0.02)


def compute(watching):
    begun = time.time()
    while watching.culprit is None and time.time() < begun + LONG:
        sum(range(100))


def watched(*blocks, **settings):
    """Runs each block on a watched loop, until the watchdog sees that it turns again; gives the log's lines."""
    @gen.coroutine
    def body():
        with lines_of("kiel.groups.liveness.loop_watchdog") as lines:
            with Own(ioloop.IOLoop.current(), settings.get("slow_callback", 0.1)) as watching:
                yield gen.sleep(0.1)
                for block in blocks:
                    block(watching)
                    yield loop.until(lambda: watching.culprit is None)
                    yield gen.sleep(settings.get("pause", 0))
        # a machine with other things to do may have kept the watchdog from running, too
        raise gen.Return([line for line in lines if "watchdog thread did not run" not in line])
    return loop.run(body)


def warnings(lines):
    return [line for line in lines if line.startswith("WARNING")]


def test_who_blocks_the_loop_is_named_once_with_its_stack_and_without_values():
    begun = time.time()
    lines = watched(handle_order)
    lasted = time.time() - begun
    assert len(warnings(lines)) == 1
    first, stack = lines[0].split("\n", 1)
    assert THIS + ":" in first and "(sleep_a_while)" in first
    assert "handle_order" in stack and "time.sleep(0.02)" in stack
    assert "pa55word" not in lines[0].replace('password="pa55word"', "") and "4111pa55" not in lines[0]
    # and afterwards how long it took
    assert len(lines) == 2 and lines[1].startswith("INFO") and "(sleep_a_while)" in lines[1]
    assert 0.1 <= float(lines[1].split(" for ")[1].split(" s")[0]) <= lasted


def test_a_handler_that_computes_is_named():
    lines = watched(compute)
    assert len(warnings(lines)) == 1
    assert "(compute)" in lines[0]


def test_short_callbacks_are_not_named():
    assert not watched(*[lambda watching: time.sleep(0.05)] * 5, slow_callback=2, pause=0.05)


def test_nobody_is_named_where_it_is_switched_off():
    assert not watched(lambda watching: time.sleep(0.3), slow_callback=None, pause=0.1)


def test_a_coroutine_is_named_by_the_frame_that_runs():
    @gen.coroutine
    def outer(watching):
        yield gen.moment
        yield inner(watching)

    @gen.coroutine
    def inner(watching):
        yield gen.moment
        begun = time.time()
        while watching.culprit is None and time.time() < begun + LONG:
            time.sleep(0.02)

    @gen.coroutine
    def body():
        with lines_of("kiel.groups.liveness.loop_watchdog") as lines:
            with Own(ioloop.IOLoop.current(), 0.2) as watching:
                yield gen.sleep(0.1)
                yield outer(watching)
                yield loop.until(lambda: watching.culprit is None)
        raise gen.Return(lines)

    assert "(inner)" in warnings(loop.run(body))[0].split("\n")[0]


def test_the_same_handler_is_not_named_again_and_again():
    lines = watched(*[sleep_a_while] * 3)
    assert len(warnings(lines)) == 1
    assert len(lines) == 4  # how long it took is told each time
    with patched(loop_watchdog, QUIET_TIME=0):
        lines = watched(*[sleep_a_while] * 3)
    assert len(warnings(lines)) == 3

    watchdog = LoopWatchdog(None, 0.1)
    watchdog._asked = loop_watchdog.monotonic()
    with lines_of("kiel.groups.liveness.loop_watchdog") as lines:
        for quiet_time in (60, 60, 0):
            with patched(loop_watchdog, QUIET_TIME=quiet_time):
                watchdog._name_culprit()
    assert len(warnings(lines)) == 2 and "(1 times more" in warnings(lines)[1]


def test_different_handlers_are_each_named():
    lines = watched(sleep_a_while, compute)
    assert len(warnings(lines)) == 2


def test_a_watchdog_that_was_late_itself_blames_nobody():
    """
    The process was stopped, or C code kept the interpreter's lock: who is on the stack afterwards may be innocent.
    """
    @gen.coroutine
    def body():
        stands, goes_on = threading.Event(), threading.Event()

        def stand():
            stands.set()
            goes_on.wait(LONG)

        with lines_of("kiel.groups.liveness.loop_watchdog") as lines:
            own = Own(ioloop.IOLoop.current(), 0.4)
            with own as watching:
                yield gen.sleep(0.1)
                # the loop does not turn, and then the watchdog's thread does not run either
                begun = time.time()
                while not watching.blocked and time.time() < begun + LONG:
                    time.sleep(0.001)
                own.loop.add_callback(stand)
                stands.wait(LONG)
                time.sleep(0.7)
                goes_on.set()
                begun = time.time()
                while not lines and time.time() < begun + LONG:
                    time.sleep(0.001)  # the thread runs before the loop turns
                yield gen.sleep(0.1)
        raise gen.Return(lines)

    lines = loop.run(body)
    assert not warnings(lines)
    assert "watchdog thread did not run" in lines[0]


def test_blocked_tells_for_how_long():
    @gen.coroutine
    def body():
        with Own(ioloop.IOLoop.current(), None, 0.1) as watching:
            yield loop.until(lambda: watching.blocked == 0)
            begun = time.time()
            while watching.blocked < 0.3 and time.time() < begun + LONG:
                time.sleep(0.02)
            assert 0.3 <= watching.blocked < time.time() - begun + 0.2
            yield loop.until(lambda: watching.blocked == 0)

    loop.run(body)


def test_a_thread_that_has_ended_is_nobody():
    thread = threading.Thread(target=int)
    thread.start()
    ident = thread.ident
    thread.join()
    assert blocked_by(-1 if ident is None else 1) == ("a thread that has ended", "")


def test_the_application_is_named_before_a_library_that_it_called():
    frames = [
        ("socket", os.path.join(os.path.dirname(os.__file__), "socket.py"), 1, "recv"),
        ("requests.api", "/x/site-packages/requests/api.py", 2, "get"),
        ("tornado.gen", "/x/site-packages/tornado/gen.py", 3, "run"),
        ("app.orders", "/srv/app/orders.py", 4, "handle"),
        ("app.main", "/srv/app/main.py", 5, "loop"),
    ]
    assert name_of(frames) == "/srv/app/orders.py:4 (handle)"
    # an application that is installed itself
    assert name_of(frames[:3]).endswith("socket.py:1 (recv)")
    # nobody's but ours
    assert name_of(frames[2:3]) == "/x/site-packages/tornado/gen.py:3 (run)"


def test_what_runs_the_loop_is_not_named():
    with patched(loop_watchdog, FRAMEWORK=loop_watchdog.FRAMEWORK + (__name__.split(".")[0],), LOOPS=("run_forever",)):
        frames = []

        def run_forever():
            frames.extend(loop_watchdog.frames_of(__import__("sys")._getframe()))

        run_forever()
    assert [frame[3] for frame in frames] == ["run_forever"]


def test_a_closed_loop_is_seen():
    one = ioloop.IOLoop(make_current=False)
    assert not is_closed(one)
    one.close()
    assert is_closed(one)


def test_the_logger_is_the_modules_own():
    assert loop_watchdog.log is logging.getLogger("kiel.groups.liveness.loop_watchdog")
