"""Methods of kiel 0.9 that a subclass may have replaced."""
from __future__ import absolute_import

import logging

from kiel.callbacks import safe_text
from kiel.events import outcome_of

log = logging.getLogger(__name__)

#: method of 0.9 that is not called any more -> what does its work now
GONE = {
    "queue_retries": "messages are retried in order by themselves; `retry=` is how, `delivery_timeout=` how long",
}


def replaces(cls, base, name):
    """Return whether a subclass has a method of its own in the place of its base's."""
    return getattr(getattr(cls, name), "__func__", getattr(cls, name)) is not getattr(
        getattr(base, name), "__func__", getattr(base, name))


def refuse_replaced(cls):
    """
    Refuse a class with a method that nobody would call.

    :raises TypeError: which names the new way
    """
    for name, instead in sorted(GONE.items()):
        if hasattr(cls, name):
            raise TypeError("%s.%s() is no longer called: %s" % (cls.__name__, name, instead))


class OwnHandler(object):
    """
    An application's own ``handle_produce_response``.

    That calls the sender's `handle` itself, usually. What it raises is the error of the messages, as in kiel 0.9.

    :param handler: the method
    :param sent: requests that have no answer yet: correlation id -> `kiel.clients.producing.broker_queue.InFlight`
    :param end: called with an `InFlight` and its answer when the handler is through
    """

    def __init__(self, handler, sent, end):
        self._handler = handler
        self._sent = sent
        self._end = end

    def __call__(self, response):
        """Callback: an answer just came."""
        in_flight = self._sent.get(response.correlation_id)
        if in_flight is None:
            return
        in_flight.handled = True
        try:
            future = outcome_of(self._handler(response))
        except Exception as error:
            self._handled(in_flight, response, error)
            return
        if future.done():
            self._handled(in_flight, response, future.exception())
        else:
            future.add_done_callback(lambda _: self._handled(in_flight, response, future.exception()))

    def _handled(self, in_flight, response, error):
        if error is not None:
            log.error("handle_produce_response() failed: %s", safe_text(error))
            in_flight.error = error
        self._end(in_flight, response)
