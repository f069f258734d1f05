"""The one look-up of coordinators: which broker coordinates a group, or the transactions of a producer."""
from __future__ import absolute_import

import logging
import random

from tornado import gen

from kiel import exc
from kiel.protocol import coordinator

log = logging.getLogger(__name__)

#: key type -> what a key of that type is called in log lines and errors
NAMES = {coordinator.GROUP: "group", coordinator.TRANSACTION: "transactional id"}


class GroupCoordinator(object):
    """
    The broker that coordinates one group, or one transactional id.

    It is looked up when it is first needed and remembered until it is lost: until an error says that another broker
    coordinates the key now, or its connection is gone for good. Whoever needs it while it is being looked up waits for
    the same look-up.

    :param client: the `kiel.clients.client.Client` whose brokers are asked
    :param key: the group's name, or the transactional id
    :param key_type: `kiel.protocol.coordinator.GROUP` or `kiel.protocol.coordinator.TRANSACTION`
    :param handler: the object whose ``handle_group_coordinator_response`` takes the answers; default: this one
    """

    def __init__(self, client, key, key_type=coordinator.GROUP, handler=None):
        self.client = client
        self.cluster = client.cluster
        self.key = key
        self.key_type = key_type
        self.handler = handler or self
        #: the coordinator's broker id; None while it is not known
        self.broker_id = None
        #: the Future of the look-up under way; the last one's, once that is done
        self._searching = None

    def __str__(self):
        return "%s %s" % (NAMES[self.key_type], self.key)

    def tell_trouble(self, logger, text, *args):
        """Log that the coordinator can't be reached or asked, once a minute."""
        self.cluster.outage.tell(logger, ("coordinator", self.key), logging.INFO, text, args, {"group": self.key})

    def trouble_over(self):
        """The coordinator answered: log it where it did not before."""
        if self.cluster.outage.troubles:
            self.cluster.outage.over(("coordinator", self.key), "The coordinator of %s answers again", self,
                                     group=self.key)

    @property
    def known(self):
        """The `kiel.broker.Broker` that coordinates, as far as that is known; else None."""
        broker = self.cluster.conns.get(self.broker_id)
        return None if broker is None or broker.closing else broker

    @gen.coroutine
    def broker(self):
        """
        Return the `kiel.broker.Broker` that coordinates, connected; look it up where it is not known.

        One round of questions, nothing is tried again: see `attempt`.

        :raises kiel.exc.KielError: when no broker knows the coordinator, or it can't be connected to
        """
        if self.known is None:
            yield self.look_up()
        broker = self.known
        if broker is None:
            raise exc.CoordinatorNotAvailableError(
                "broker %s, which coordinates %s, is not among the brokers of the cluster" % (self.broker_id, self)
            )
        yield broker.connect()  # which versions it serves is known while a connection is open
        raise gen.Return(broker)

    def look_up(self):
        """
        Ask the brokers, one after the other, for the coordinator; return a Future of its broker id.

        :raises kiel.exc.KielError: what the last broker said, when none knows it
        """
        if self._searching is None or self._searching.done():
            self._searching = self._ask_brokers()
        return self._searching

    @gen.coroutine
    def _ask_brokers(self):
        """Ask in an order of chance, until one knows or says what no other would say differently."""
        self.broker_id = None
        error = exc.NoBrokersError("no broker could be asked for the coordinator of %s" % self)
        broker_ids = [broker_id for broker_id, broker in self.cluster.conns.items() if not broker.closing]
        random.shuffle(broker_ids)
        for broker_id in broker_ids:
            answers = yield self.client.send({broker_id: coordinator.GroupCoordinatorRequest(
                group=self.key, key_type=self.key_type
            )}, self.handler)
            answer = answers.get(broker_id, error)
            if isinstance(answer, exc.KielError):
                error = answer
                if not error.retriable:
                    break
            elif self.broker_id is not None:
                raise gen.Return(self.broker_id)
            else:
                error = exc.CoordinatorNotAvailableError(
                    "broker %s does not know the coordinator of %s" % (broker_id, self))
        raise error

    def handle_group_coordinator_response(self, response):
        """Take over the coordinator that an answer names. Return True, or the error."""
        error = exc.for_code(response.error_code, "coordinator of %s" % self, response.api, group=self.key,
                             transactional_id=self.key)
        if error is not None:
            log.info("No coordinator of %s yet: %s", self, error, extra=self._fields())
            return error
        self.broker_id = response.coordinator_id
        log.info("Found coordinator of %s: broker %s", self, self.broker_id,
                 extra=dict(self._fields(), broker=self.broker_id))
        return True

    def _fields(self):
        return dict(client=self.client.cluster.settings.client_id, group=self.key)

    def forget(self):
        """Forget it together with the look-up under way, whose answer will not come."""
        self.broker_id = self._searching = None

    def lose(self):
        """Forget the coordinator; it is looked up again when it is next needed."""
        self.broker_id = None

    def attempt(self, keys, round, deadline=None, plan=None, closing=False):
        """Repeat a round as `kiel.clients.client.Client.attempt` does; an error whose cure that is loses this one."""
        return self.client.attempt(keys, round, deadline, plan, self, closing)

    @gen.coroutine
    def find(self, deadline=None):
        """
        Look the coordinator up anew, again and again while that fails in a passing way. Return its broker id.

        :param deadline: seconds; default: that of the client's ``retry``
        :raises kiel.exc.KielError: the last error
        """
        @gen.coroutine
        def once(_):
            broker_id = yield self.look_up()
            raise gen.Return({self.key: broker_id})

        found = (yield self.attempt([self.key], once, deadline))[self.key]
        if isinstance(found, exc.KielError):
            raise found
        raise gen.Return(found)

    @gen.coroutine
    def ask(self, round, deadline=None, plan=None):
        """
        Ask the coordinator one question, again and again while that fails in a passing way. Return the answer.

        :param round: a function of the coordinator's `kiel.broker.Broker` that returns a Future of the answer, or of a
            `kiel.exc.KielError`
        :param deadline: seconds until what failed retriably is given up; default: that of the plan
        :param plan: a `kiel.retry.Backoff`; default: the client's ``retry``
        :raises kiel.exc.KielError: the last error
        """
        @gen.coroutine
        def once(_):
            broker = yield self.broker()
            answer = yield round(broker)
            raise gen.Return({self.key: answer})

        answer = (yield self.attempt([self.key], once, deadline, plan))[self.key]
        if isinstance(answer, exc.KielError):
            raise answer
        raise gen.Return(answer)
