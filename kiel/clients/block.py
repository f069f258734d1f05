"""A client as a block: ``async with`` connects and closes it."""
from __future__ import absolute_import

from tornado import gen

from kiel import events
from kiel.clients.outcome import Outcome
from kiel.events import outcome_of


def entered(client):
    """Connect a client; a Future of it. One that can't be, or is not waited for any more, is left closed."""
    return events.detached(_enter(client), Outcome(Entering(client)))


@gen.coroutine
def _enter(client):
    try:
        yield outcome_of(client.connect())
    except Exception as error:
        failure = error
    else:
        raise gen.Return(client)
    yield outcome_of(client.close())
    raise failure


class Entering(object):
    """An ``async with`` that has begun: if nobody enters the block after all, its client is closed."""

    def __init__(self, client):
        self._client = client

    def give_up(self):
        """Nobody enters the block."""
        if self._client.io_loop is not None and events.is_running(self._client.io_loop):
            events.ignore(outcome_of(self._client.close()))
