"""Fake brokers on a thread and loop of their own: they answer while the test's loop is blocked."""
from __future__ import absolute_import

import threading

from tornado import ioloop

from tests.fake import VERSIONS, FakeCluster

VERSIONS_OF_GROUPS = dict(VERSIONS["4.4"], heartbeat=(0, 4), leave_group=(0, 5), join_group=(2, 9), sync_group=(0, 5))


class Brokers(object):
    """
    A `FakeCluster` in a thread; a context manager.

    Handlers run on that thread. ``cluster`` may be looked at from the test's.
    """

    def __init__(self, **settings):
        settings.setdefault("versions", VERSIONS_OF_GROUPS)
        self.loop = ioloop.IOLoop(make_current=False)
        self.cluster = FakeCluster(**settings)
        self.thread = threading.Thread(target=self.run, name="fake-brokers")
        self.thread.daemon = True

    def run(self):
        self.loop.start()
        self.loop.close(all_fds=True)

    def call(self, fn, *args):
        """Runs a function on the brokers' thread and gives its result."""
        done, result = threading.Event(), []

        def work():
            try:
                result.append(fn(*args))
            finally:
                done.set()
        self.loop.add_callback(work)
        assert done.wait(5)
        return result[0]

    def __enter__(self):
        self.thread.start()
        self.call(self.cluster.start)
        return self

    def __exit__(self, *exc_info):
        self.call(self.cluster.stop)
        self.loop.add_callback(self.loop.stop)
        self.thread.join(5)

    def __getitem__(self, broker_id):
        return self.cluster[broker_id]

    def address(self, broker_id):
        return self.cluster[broker_id].host, self.cluster[broker_id].port
