"""``async with`` on every client: connected inside, closed after it, nothing left open where it was not entered."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc

from tests import loop
from tests.clients.grouping import members
from tests.clients.grouping.members import stored
from tests.clients.test_lifecycle import KINDS, at_work
from tests.fake import MUTE, VERSIONS, with_cluster
from tests.native import needs_native, needs_tasks, run

BLOCK = """
async def main(client, work, error=None):
    async with client as entered:
        assert entered is client
        result = await work(client)
        if error is not None:
            raise error
    return result
"""

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def with_any(test):
    """Run a test with a cluster that any kind of client can be connected to."""
    return with_cluster(topics={"t": 1}, timeout=20, versions=dict(VERSIONS["4.4"], consumer_group_heartbeat=(0, 1)))(
        test)


def look(cluster):
    """The answer to the look whether the next-generation protocol is served."""
    cluster[1].on("consumer_group_heartbeat", {"error_code": 25})


@needs_native
@each_kind
def test_connected_inside_and_closed_after_it(kind):
    @with_any
    def check(cluster):
        look(cluster)
        client = kind(cluster)
        for _ in range(2):
            yield run(BLOCK, client, at_work)
            assert client.closing
            yield loop.until(lambda: not cluster[1].streams)
        failure = ZeroDivisionError()
        assert (yield loop.raises(ZeroDivisionError, run(BLOCK, client, at_work, failure))) is failure
        assert client.closing
        yield loop.until(lambda: not cluster[1].streams)
    check()


@needs_native
@each_kind
def test_a_block_that_can_not_be_entered_leaves_nothing_open(kind):
    @with_any
    def check(cluster):
        cluster.stop()
        client = kind(cluster)
        yield loop.raises(exc.NoBrokersError, run(BLOCK, client, at_work))
        assert client.closing and not client.cluster.conns
    check()


@needs_tasks
@each_kind
@pytest.mark.parametrize("turns", [1, 4, None])
def test_cancelled_while_it_is_entered(kind, turns):
    """Without a number of turns: in the turn in which it is connected, when the task has not run yet."""
    import asyncio

    @with_any
    def check(cluster):
        look(cluster)
        if turns is not None:
            cluster[1].on("metadata", MUTE)
        client = kind(cluster)
        entering = client.__aenter__()
        task = asyncio.ensure_future(run("async def main(entering):\n    return await entering\n", entering))
        if turns is None:
            entering.add_done_callback(lambda _: task.cancel())
        else:
            for _ in range(turns):
                yield gen.moment
            task.cancel()
        yield loop.until(task.done)
        if task.cancelled():
            yield loop.until(lambda: client.closing and not cluster[1].streams)
        yield client.close()
        yield loop.until(lambda: not cluster[1].streams)
    check()


@needs_native
@pytest.mark.parametrize("autocommit, clean, failed", [("processed", 2, 1), (True, 2, 2), (False, None, None)])
def test_in_a_group_a_clean_exit_commits_what_was_processed(autocommit, clean, failed):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        cluster.log("t").put(b"a")

        @gen.coroutine
        def work(consumer):
            raise gen.Return((yield members.gather(consumer, 1)))

        member = members.make(cluster, autocommit=autocommit)
        yield run(BLOCK, member, work)
        assert stored(cluster) == (None if clean is None else 1)
        cluster.log("t").put(b"b")
        begun = member.io_loop.time()
        yield loop.raises(ZeroDivisionError, run(BLOCK, members.make(cluster, autocommit=autocommit), work,
                                                 ZeroDivisionError()))
        assert member.io_loop.time() - begun < 0.9  # what is not processed any more is not waited for
        assert stored(cluster) == failed
        if failed == 1:  # handed out again
            assert (yield run(BLOCK, members.make(cluster, autocommit=autocommit), work)) == [b"b"]
            assert stored(cluster) == clean
    check()
