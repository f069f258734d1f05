"""Which broker a request goes to (any, the controller, a certain one, leaders of partitions), and what is retried."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import arguments, exc
from kiel.clients.administering.any_broker import AnyBroker
from kiel.clients.grouping.group_view import need
from kiel.protocol import metadata

#: the first version of Metadata that names the controller, and can be asked about no topic
WITH_CONTROLLER = 1


class Final(object):
    """An error that comes as a result: what it is about is not asked again, although other errors of its kind are."""

    def __init__(self, error):
        self.error = error


class Reader(object):
    """
    Takes the answers of one api.

    :param api: its name
    :param read: a function of the answer that returns ``{item: value or KielError}``, or a `kiel.exc.KielError` that is
        about all items
    """

    def __init__(self, api, read):
        setattr(self, "handle_%s_response" % api, read)


class Routes(object):
    """
    Asks for items, each of which has a result of its own, and again for those that fail in passing.

    All methods return a Future of ``{item: value or KielError}``. An error that is about all items is raised: nobody
    could be asked, the brokers are too old, or the user may not ask that.

    ``make`` is a function of a `kiel.broker.Broker` and the list of items still wanted that returns the request; it may
    raise. ``reader`` is a `Reader` of the answer. ``what`` is the text of what is wanted, for errors.
    ``timeout`` is seconds until what fails in passing is given up; default: as the client's ``retry`` says.

    :param client: the `kiel.clients.client.Client` whose brokers are asked
    """

    def __init__(self, client):
        self.client = client
        self.any_broker = AnyBroker(client)
        #: the controller's broker id; None while it is not known
        self.controller_id = None

    def time(self, timeout):
        """Return the milliseconds that a request may tell the broker to take."""
        return int(1000 * (self.client.settings.request_timeout if timeout is None else timeout))

    # -- one broker --

    def by_any(self, items, make, reader, what, timeout=None):
        """Ask any broker."""
        @gen.coroutine
        def once(wanted):
            answer = yield self.any_broker.once(lambda broker: make(broker, wanted), reader, what)
            raise gen.Return(answer)
        return self._attempt(items, once, timeout)

    def by_one(self, broker_id, items, make, reader, what, timeout=None):
        """Ask a certain broker."""
        return self._attempt(
            items, lambda wanted: self._ask(broker_id, make, wanted, reader, what), timeout)

    def by_controller(self, items, make, reader, what, timeout=None):
        """Ask the controller, or a broker that passes the question on to it."""
        @gen.coroutine
        def once(wanted):
            broker_id = yield self._controller(lambda broker: make(broker, wanted), what)
            answer = yield self._ask(broker_id, make, wanted, reader, what)
            values = [answer] if isinstance(answer, exc.KielError) else answer.values()
            if any(isinstance(value, exc.NotControllerError) for value in values):
                self.controller_id = None
            raise gen.Return(answer)
        return self._attempt(items, once, timeout)

    @gen.coroutine
    def _controller(self, make, what):
        """Return the controller's broker id, looked up where it is not known."""
        broker = self.client.cluster.conns.get(self.controller_id)
        if broker is None or broker.closing:
            self.controller_id = None
            found = (yield self._look_around(make, what)).controller_id
            if found < 0:
                raise exc.NotControllerError("the cluster has no controller at the moment")
            self.controller_id = found
        raise gen.Return(self.controller_id)

    def _look_around(self, make, what):
        """Return a Future of metadata about no topic; a broker too old for that is too old for what is wanted."""
        def question(broker):
            if not broker.reaches(metadata.api_name, WITH_CONTROLLER):
                need(broker, make(broker), what)
            request = metadata.MetadataRequest()
            request.no_topics = True
            request.narrow = WITH_CONTROLLER, request.version_range[1]
            return request
        return self.any_broker.once(question, Reader(metadata.api_name, lambda response: response), what)

    @gen.coroutine
    def _ask(self, broker_id, make, wanted, reader, what):
        """Ask one broker about items; return what is read, or an error that is about all of them."""
        cluster = self.client.cluster
        if broker_id not in cluster or cluster[broker_id].closing:
            yield cluster.heal()
        if broker_id not in cluster:
            raise exc.BrokerNotAvailableError("%s: broker %s is not among those that are up: %s" % (
                what, broker_id, ", ".join(str(each) for each in sorted(cluster)) or "none"))
        broker = cluster[broker_id]
        yield broker.connect()  # which versions it serves is known while a connection is open
        request = make(broker, wanted)
        need(broker, request, what)
        answers = yield self.client.send({broker_id: request}, reader)
        raise gen.Return(answers.get(
            broker_id, exc.BrokerConnectionError(broker.host, broker.port, broker_id)))

    # -- several brokers --

    @gen.coroutine
    def by_broker(self, broker_ids, make, reader, what, timeout=None):
        """
        Ask each of some brokers, which are the items.

        :param broker_ids: None for all that there are
        :param reader: returns one broker's value, or error
        """
        @gen.coroutine
        def look(_):
            found = yield self._look_around(lambda broker: make(broker, []), what)
            raise gen.Return({"brokers": found})

        if broker_ids is None:
            found = yield self.alone("brokers", self._attempt(["brokers"], look, timeout))
            broker_ids = [broker.broker_id for broker in found.brokers]

        @gen.coroutine
        def tell(broker_id):
            try:
                answer = yield self._ask(broker_id, make, [broker_id], reader, what)
            except exc.UnsupportedVersionError:
                raise
            except exc.KielError as error:
                answer = error
            raise gen.Return((broker_id, answer))

        @gen.coroutine
        def once(wanted):
            answers = yield gen.multi([tell(broker_id) for broker_id in wanted], quiet_exceptions=exc.KielError)
            raise gen.Return(dict(answers))
        found = yield self._attempt(broker_ids, once, timeout)
        raise gen.Return(found)

    @gen.coroutine
    def by_leader(self, partitions, make, reader, what, timeout=None):
        """Ask the leaders of partitions, ``(topic, partition id)`` each, which are the items."""
        there, gone = yield self._split(partitions)

        @gen.coroutine
        def once(wanted):
            by_leader, found = collections.defaultdict(list), {}
            for topic, partition in wanted:
                leader = self.client.cluster.leaders.get(topic, {}).get(partition)
                if leader is None:
                    found[topic, partition] = exc.LeaderNotAvailableError("%s:%s" % (topic, partition))
                else:
                    by_leader[leader].append((topic, partition))

            @gen.coroutine
            def tell(leader):
                try:
                    answer = yield self._ask(leader, make, by_leader[leader], reader, what)
                except exc.BrokerNotAvailableError:  # it was there a moment ago: another leads soon
                    answer = exc.LeaderNotAvailableError("broker %s is not up" % leader)
                found.update(dict.fromkeys(by_leader[leader], answer) if isinstance(answer, exc.KielError) else answer)

            yield gen.multi([tell(leader) for leader in by_leader], quiet_exceptions=exc.KielError)
            raise gen.Return(found)

        outcome = yield self._attempt(there, once, timeout)
        outcome.update((key, exc.UnknownTopicOrPartitionError("%s:%s is not there" % key)) for key in gone)
        raise gen.Return(outcome)

    @gen.coroutine
    def _split(self, partitions):
        """Return two lists: the partitions that exist, and those that don't."""
        topics = self.client.cluster.topics
        if any(partition not in topics.get(topic, ()) for topic, partition in partitions):
            yield self.client.cluster.heal()
        there = [key for key in partitions if key[1] in topics.get(key[0], ())]
        raise gen.Return((there, [key for key in partitions if key not in set(there)]))

    # -- again --

    @staticmethod
    @gen.coroutine
    def alone(item, asked):
        """Return the value of the only item that was asked for; its error is raised."""
        outcome = yield asked
        if isinstance(outcome[item], exc.KielError):
            raise outcome[item]
        raise gen.Return(outcome[item])

    @gen.coroutine
    def _attempt(self, items, once, timeout):
        """Repeat a round for items whose error is temporary; raise an error that concerns all items."""
        if timeout is not None:
            timeout = arguments.seconds("timeout", timeout)
        about_all = []

        @gen.coroutine
        def one_round(wanted):
            del about_all[:]
            try:
                answer = yield once(wanted)
                if isinstance(answer, exc.KielError):
                    raise answer
            except exc.KielError as error:
                about_all.append(error)
                raise
            raise gen.Return(answer)

        items = list(items)
        outcome = yield self.client.attempt(items, one_round, timeout)
        if about_all and items and all(outcome[item] is about_all[0] for item in items):
            raise about_all[0]
        raise gen.Return(dict(
            (item, value.error if isinstance(value, Final) else value) for item, value in outcome.items()))


def since(broker, api, version, what):
    """
    Raise a clear error when a broker serves an api, and not the version that something needs.

    :param what: what needs it, and from which Kafka on, such as "deleting offsets needs Kafka 2.4"
    """
    if broker.reaches(api, 0) and not broker.reaches(api, version):
        raise exc.UnsupportedVersionError("%s or later" % what)


def named(error_code, message, where, api, **names):
    """Return the exception of an answer's item, with the broker's words where it has any; None for none."""
    return exc.for_code(error_code, "%s: %s" % (where, message) if message else where, api, **names)


def settled(error):
    """Return an error as a result where it says that a topic is not there: whoever asks by its name wants to know."""
    return Final(error) if isinstance(error, exc.UnknownTopicOrPartitionError) else error


def by_topic(cls, partitions, item, field="partitions"):
    """
    Return the parts of a request for each topic.

    :param cls: the part of a topic, with the fields ``name`` and another
    :param item: a function of a ``(topic, partition id)`` that returns what stands for it in the request
    """
    topics = collections.OrderedDict()
    for key in partitions:
        topics.setdefault(key[0], []).append(item(key))
    return [cls(**{"name": topic, field: items}) for topic, items in topics.items()]


__all__ = ["Final", "Reader", "Routes"]
