"""Questions that any broker of the cluster answers."""
from __future__ import absolute_import

import random

from tornado import gen

from kiel import exc
from kiel.clients.grouping.group_view import first_errors_raised, need


class AnyBroker(object):
    """
    Asks one broker after the other, until one answers.

    :param client: the `kiel.clients.client.Client` whose brokers are asked
    """

    def __init__(self, client):
        self.client = client

    @gen.coroutine
    def ask(self, make, handler, what):
        """
        Return what the handler makes of a response; retry temporary errors.

        :param make: a function that is given the `kiel.broker.Broker` and returns the request for it
        :param handler: the object whose ``handle_<api>_response`` takes the answer, and returns a value or an error
        :param what: what is wanted, for the text of an error
        :raises kiel.exc.KielError: the answer's error, or that of the last attempt
        """
        @gen.coroutine
        def attempted(_):
            answer = yield self.once(make, handler, what)
            raise gen.Return({what: answer})

        answers = yield self.client.attempt([what], attempted)
        raise gen.Return(first_errors_raised(answers)[what])

    @gen.coroutine
    def once(self, make, handler, what):
        """The same without retries: one round over the brokers in random order; errors of a response are returned."""
        error = exc.NoBrokersError("no broker could be asked: %s" % what)
        conns = self.client.cluster.conns
        broker_ids = [broker_id for broker_id, broker in conns.items() if not broker.closing]
        random.shuffle(broker_ids)
        for broker_id in broker_ids:
            broker = conns.get(broker_id)
            if broker is None or broker.closing:
                continue
            try:
                yield broker.connect()  # which versions it serves is known while a connection is open
                request = make(broker)
                need(broker, request, what)
                answers = yield self.client.send({broker_id: request}, handler)
            except exc.BrokerConnectionError as failed:
                error = failed
                continue
            if broker_id in answers:
                raise gen.Return(answers[broker_id])
        raise error
