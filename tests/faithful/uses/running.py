"""Runs a use on an IOLoop of its own."""
from __future__ import absolute_import

from tornado import gen, ioloop

from . import LIMIT
from .world import World


def run(function, brokers=(), zk_hosts=(), limit=LIMIT):
    """Runs one use to its end, in so many seconds; what it asserts is raised."""
    world = World(brokers, zk_hosts)
    loop = ioloop.IOLoop(make_current=False)
    try:
        loop.run_sync(lambda: _run(world, function, limit), timeout=limit + 15)
    finally:
        world.stop()
        try:
            loop.close(all_fds=True)
        except (IOError, OSError, ValueError):
            pass  # sockets that a broker or a use has closed already


@gen.coroutine
def _run(world, function, limit):
    loop = ioloop.IOLoop.current()
    try:
        yield gen.with_timeout(loop.time() + limit, gen.maybe_future(function(world)), quiet_exceptions=Exception)
    finally:
        for client in world.clients:
            if not client.closing:
                yield gen.with_timeout(loop.time() + 10, client.close(), quiet_exceptions=Exception)
