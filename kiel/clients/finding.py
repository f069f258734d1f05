"""How a client finds its cluster: by its bootstrap hosts, asked once, or again and again; and whether it is there."""
from __future__ import absolute_import

from tornado import gen

from kiel import events, exc


@gen.coroutine
def find(cluster, plan, waits, timeout, called_off):
    """
    Ask the bootstrap hosts until one answers.

    :param cluster: the `kiel.cluster.Cluster`
    :param plan: the `kiel.retry.Backoff` to ask again by
    :param waits: whether the application gave that plan, and so wants to wait
    :param timeout: seconds for all of it, or None
    :param called_off: a Future that is done when nobody wants the cluster any more; that is no error
    :raises kiel.exc.NoBrokersError: when none answers
    """
    deadline = plan.deadline if waits else 0.0
    if timeout is not None:
        deadline = min(timeout, deadline) if waits and deadline is not None else timeout
    clock = plan.start(deadline)
    if deadline is None:
        clock.deadline = None
    end = None if timeout is None else gen.sleep(timeout)
    while True:
        starting = events.ignore(cluster.start())
        yield events.first(*[future for future in (starting, called_off, end) if future is not None])
        if called_off.done():
            return
        if not starting.done():
            cluster.give_up()
            raise exc.NoBrokersError("no bootstrap host answered within %g s" % timeout)
        error = starting.exception()
        if error is None:
            return
        delay = clock.delay() if isinstance(error, exc.NoBrokersError) else None
        if delay is None:
            if isinstance(error, exc.NoBrokersError) and not waits and timeout is None:
                error = exc.NoBrokersError(
                    "%s; where brokers may not be up yet, connect(timeout=seconds) waits" % error)
            raise error
        yield events.first(gen.sleep(delay), called_off)
        if called_off.done():
            return


@gen.coroutine
def reach(cluster):
    """
    Connect to any of the brokers that a bootstrap host named.

    :param cluster: the `kiel.cluster.Cluster`
    :raises kiel.exc.NoBrokersError: when none can be reached, as with wrong advertised.listeners
    """
    last = None
    for broker in list(cluster.conns.values()):
        try:
            yield broker.connect()
            return
        except exc.KielError as error:
            last = error
    raise exc.NoBrokersError("a bootstrap host answers, but none of the brokers that it names can be reached; look "
                             "at their advertised.listeners: %s" % last)
