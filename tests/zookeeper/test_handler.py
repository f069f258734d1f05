from __future__ import absolute_import

import threading
import time

from kiel.zookeeper import handler


def test_sleeps_between_attempts_and_wakes_at_the_stop():
    one = handler.Handler()
    one.stop()  # as kazoo does before each start
    one.start()
    begun = time.time()
    one.sleep_func(0.1)
    assert time.time() - begun >= 0.09
    threading.Timer(0.1, one.stop).start()
    one.sleep_func(5)
    assert time.time() - begun < 2


def test_a_busy_worker_holds_up_nobody_for_long():
    one, go = handler.Handler(), threading.Event()
    one.start()
    one.callback_queue.put(go.wait)
    begun = time.time()
    one.stop()
    assert time.time() - begun < handler.PATIENCE * 3
    go.set()
