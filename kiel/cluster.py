"""The cluster as one client sees it: brokers, topics, leaders. The only metadata there is."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import arguments, exc
from kiel.addresses import broker_list, split_host
from kiel.broker import Broker
from kiel.connection import Connection
from kiel.dropped import watch
from kiel.events import first, ignore, weakly
from kiel.metadata_source import MetadataSource
from kiel.outage import Outage
from kiel.periodic_refresh import PeriodicRefresh
from kiel.resting import Resting
from kiel.retry import Backoff, monotonic
from kiel.settings import Settings
from kiel.topics import Topics

log = logging.getLogger(__name__)

#: how long metadata is asked again for what an answer lacked, before the healthy rest goes on without it
REPAIR = Backoff(first=0.1, most=0.4, deadline=1.0)

#: how long a topic that is not there is not asked for again, over all calls
ABSENT = Backoff(first=0.05, most=5.0, deadline=None)

#: the version of Metadata from which on leaders' epochs are those of now: before, they may be behind (KAFKA-9212), and
#: whoever uses them is fenced for as long as a reassignment lasts
EPOCHS_HOLD = 9

#: seconds after which `Cluster.ensure` looks whether somebody else has learned of a topic
LOOK = 0.25

#: seconds that `Cluster.settle` waits for dialling to end
SETTLING = 0.2

#: seconds that `Cluster.ensure` waits for a broker to create a topic
CREATION_TIME = 5.0


class Cluster(Topics):
    """
    Brokers, topics and leaders, asked of the brokers themselves and kept fresh.

    ``cluster[broker_id]`` is the connection to a broker (KeyError when unknown); iteration and ``in`` go over ids.

    :param bootstrap_hosts: list of "host" or "host:port", or one such string, with commas where there are several; see
        `kiel.addresses.broker_list`
    :param settings: `kiel.settings.Settings`
    :param metadata_max_age: seconds after which metadata is asked again without any error
    :param create_topics: whether a topic may be created by its first use, where the brokers do that
    """

    def __init__(self, bootstrap_hosts, settings=None, metadata_max_age=300, create_topics=True):
        super(Cluster, self).__init__()
        self.settings = settings or Settings()
        self.bootstrap_hosts = broker_list(bootstrap_hosts, secure=bool(self.settings.ssl))
        self.metadata_max_age = arguments.seconds("metadata_max_age", metadata_max_age, least=0.001)
        self.create_topics = create_topics
        #: called, without arguments and on the loop, after every answer that was taken over
        self.listeners = []
        #: whether any broker answers, and what is said on the log meanwhile
        self.outage = Outage(self.settings.client_id)
        self._resting = Resting()
        self._absent = Resting(ABSENT)
        #: topics that were there: who deletes one does not want it back by our asking for it
        self._seen = set()
        self._source = MetadataSource(self.bootstrap_hosts, self.settings, self.outage, self._resting)
        #: the Future of the run of `heal` that is under way, or was last
        self._healing = None
        #: asks again when nothing has failed
        self._refresh = PeriodicRefresh(weakly(self._on_refresh), self.outage.troubles)
        self._stopped = False
        #: the `kiel.dropped.Unclosed`: what there is to say when nobody closes the client
        self.unclosed = watch(self, self.conns)

    @property
    def last_error(self):
        """Why no broker can be reached, while none can; None otherwise."""
        return self.outage.error

    @property
    def down_since(self):
        """When the last broker was lost (`kiel.retry.monotonic`); None while one answers."""
        return self.outage.since

    @property
    def cluster_id(self):
        """The cluster's own id; None before it is known, and for brokers before 0.10.1."""
        return self.settings.cluster_id

    def warn(self, text, *args):
        """
        Warn about a request that failed, once a minute with a count: the last argument is the error.

        What failed for want of a connection is one trouble, whatever was asked; `answered` ends it.
        """
        error = args[-1] if args else None
        if isinstance(error, exc.BrokerConnectionError):
            self.outage.warn((error.host, error.port), text, *args, broker=error.broker_id)
            self._refresh.watch_for((error.host, error.port))
        else:
            self.outage.warn((text,) + args[:-1], text, *args)

    def reached(self, broker, *about):
        """
        A broker answered: what was told of it is over.

        :param about: what `warn` was given of such requests, but for the error
        """
        if self.outage.troubles:
            self.outage.over((broker.host, broker.port), "Broker %s at %s:%d answers again", broker.broker_id,
                             broker.host, broker.port, broker=broker.broker_id)
            if about:
                self.outage.over(about, about[0].rpartition(" failed")[0] + " works again", *about[1:])

    def __getitem__(self, broker_id):
        return self.conns[broker_id]

    def __contains__(self, broker_id):
        return broker_id in self.conns

    def __iter__(self):
        return iter(self.conns)

    # -- life --

    @gen.coroutine
    def start(self):
        """
        Find the cluster through the bootstrap hosts. May be called again.

        :raises kiel.exc.NoBrokersError: when none of them answers, or none of the brokers that they name
        :raises kiel.exc.AuthenticationError: when that is why
        """
        if self._stopped:  # closed before: what is found now may be another cluster
            self.settings.cluster_id = None
        self._stopped = self._source.stopped = False
        self._resting.clear()
        response = yield self._source.bootstrap()
        if self._stopped:
            raise exc.ClosedError("the client was closed while it connected")
        yield self.heal(response)
        if self._stopped:
            raise exc.ClosedError("the client was closed while it connected")
        if not self.conns and self._source.named:
            raise exc.NoBrokersError("a bootstrap host answers, but none of the brokers that it names does: %s; %s" % (
                ", ".join("%s:%d" % address for address in self._source.named),
                "check that their advertised listeners can be reached from here"))
        self._refresh.schedule(self.metadata_max_age)

    @gen.coroutine
    def drain(self):
        """Wait a moment for brokers to have read what asked for no answer; see `kiel.broker.Broker.drain`."""
        yield [conn.drain() for conn in list(self.conns.values())]

    def forget(self):
        """Drop every connection without a word: their sockets are another process's too, or their loop is closed."""
        self.conns.clear()
        self._healing = None
        self._refresh.forget()
        self._source.forget()

    def give_up(self):
        """Ask no bootstrap host any more, of those that are being asked; connections that are there stay."""
        self._source.give_up()

    def stop(self):
        """Close every connection; what is pending on them fails."""
        self._stopped = self._source.stopped = True
        self._source.give_up()
        self._refresh.stop()
        for conn in list(self.conns.values()):
            conn.close()

    @gen.coroutine
    def settle(self):
        """
        Waits, for `SETTLING` at most, until connections that were being opened when `stop` came have ended.

        Dialling can't be called off. Where the loop ends together with the client, what it comes to would be told on
        the log by Python: an exception that nobody looked at.
        """
        opening = [
            lane.connect() for conn in self.conns.values() for lane in conn.lanes.values() if lane.opening
        ]
        if opening:
            limit = gen.sleep(SETTLING)
            for future in opening:
                yield first(future, limit)

    @gen.coroutine
    def _on_refresh(self):
        """Ask for metadata because it is old."""
        try:
            yield self.heal()
        except exc.KielError as error:
            self.warn("Metadata refresh failed: %s", error)
        finally:
            if not self._stopped:
                self._refresh.schedule(self.metadata_max_age)

    # -- metadata --

    def heal(self, response=None):
        """
        Bring brokers, topics and leaders up to date; return a Future.

        Callers that come while a run is under way share it. What is missing in an answer (a leader, a broker that
        can't be reached) is asked for again for about a second; then the rest goes on without it.

        :param response: a MetadataResponse to begin with, instead of asking for one
        :raises kiel.exc.NoBrokersError: when nobody answers
        """
        if self._healing is None or self._healing.done():
            self._healing = ignore(self._heal(response))
        return self._healing

    @gen.coroutine
    def _heal(self, response):
        """One run of `heal`."""
        clock = REPAIR.start()
        asked = []
        while not self._stopped:
            if response is None:
                response = yield self.get_metadata(asked, create=False)
            if self._stopped:  # while the answer was on its way: nothing may be opened any more
                break
            for broker_id, conn in list(self.conns.items()):
                if conn.closing:
                    self.conns.pop(broker_id, None)
            failed = yield self.process_brokers(response.brokers)
            missing = self.process_topics(response.topics, asked, response.api_version >= EPOCHS_HOLD)
            self._tell_listeners()
            delay = clock.delay()
            if not (failed or missing) or delay is None:
                break
            asked = sorted(missing)
            response = None
            yield gen.sleep(delay)

    def _tell_listeners(self):
        """Call all `listeners`; one that fails does not keep the others from hearing."""
        if self.settings.hooks is not None:
            self.settings.hooks.tell("metadata_refreshed", brokers=len(self.conns), topics=len(self.topics))
        for listener in list(self.listeners):
            try:
                listener()
            except Exception:
                log.exception("A metadata listener failed")

    @gen.coroutine
    def ensure(self, topic, timeout=CREATION_TIME):
        """
        Make a topic known, by a question that names it, upon which most brokers create it.

        Only the first use of a topic may create it: one that was there and has been deleted is not made again. A topic
        that is not there is asked for less and less often, also by later calls.

        Return True when it is known with a leader for each partition, False when it is not after ``timeout`` seconds.

        :raises kiel.exc.BrokerError: for an error that waiting does not mend, such as a forbidden or invalid name
        :raises kiel.exc.NoBrokersError: when nobody answers within the time
        """
        end = monotonic() + timeout
        failure = None
        while not self._stopped:
            wait = self._absent.left(topic)
            if monotonic() + wait > end:
                yield self._wait_for(topic, end)
                if failure is not None:
                    raise failure
                break
            yield self._wait_for(topic, monotonic() + wait)
            failure = None
            try:
                if (yield self._look_for(topic)):
                    raise gen.Return(True)
            except exc.NoBrokersError as error:
                failure = error
            self._absent.failed(topic)
        raise gen.Return(bool(self.leaders.get(topic)))

    @gen.coroutine
    def _wait_for(self, topic, until):
        """Wait until the topic is known, because somebody else asked for it, or the time is up."""
        while not self._stopped and not self.leaders.get(topic):
            left = until - monotonic()
            if left <= 0:
                break
            yield gen.sleep(min(LOOK, left))

    @gen.coroutine
    def _look_for(self, topic):
        """Ask for one topic; return whether it is there with all its leaders."""
        create = self.create_topics and topic not in self._seen
        response = yield self.get_metadata([topic], create)
        yield self.process_brokers(response.brokers)
        missing = self.process_topics(response.topics, [topic], response.api_version >= EPOCHS_HOLD)
        self._tell_listeners()
        error = self.topic_errors.get(topic)
        if error is not None and not error.retriable:
            raise error
        raise gen.Return(bool(self.topics.get(topic)) and topic not in missing)

    def process_topics(self, response_topics, asked=(), with_epochs=True):
        """Take over the topics of a metadata answer, as `kiel.topics.Topics.process_topics`."""
        missing = super(Cluster, self).process_topics(response_topics, asked, with_epochs)
        for name in self.topics:
            if name not in self._seen:
                self._seen.add(name)
                self._absent.worked(name)
        return missing

    def _tell_absent(self, name):
        """A topic is not there: once a minute."""
        self.outage.tell(
            log, ("topic", name), logging.INFO, "Topic %s does not exist (yet)", (name,), dict(topic=name))

    def _tell_there(self, name):
        """A topic is there that was not, or had an error."""
        self.outage.over(("topic", name), "Topic %s exists", name, topic=name)

    def get_metadata(self, topics=None, create=True):
        """
        Ask one broker after the other until one answers, the least busy first; at last the bootstrap hosts.

        Return a Future of a MetadataResponse. The ``topics`` of an answer that takes long to read are what is
        `kiel.topics.known_of` each, for `process_topics`.

        :param topics: names; none for all topics
        :param create: whether the broker may create a topic that is not there
        :raises kiel.exc.NoBrokersError: when nobody answers
        """
        return self._source.ask(list(self.conns.values()), topics, create and self.create_topics)

    # -- brokers --

    @gen.coroutine
    def process_brokers(self, brokers):
        """
        Connect to the brokers of a metadata answer that are new or have moved, all at once.

        Brokers no longer named are aborted and forgotten. Gives the set of ids that can't be reached now; a broker
        that takes long to connect to is not waited for beyond a second, so that it holds up nobody else.
        """
        named = dict((broker.broker_id, broker) for broker in brokers)
        self._source.named = [(broker.host, broker.port) for broker in brokers] or self._source.named
        for broker_id, conn in list(self.conns.items()):
            broker = named.get(broker_id)
            if broker is None or (broker.host, broker.port) != (conn.host, conn.port):
                conn.abort()
                self.conns.pop(broker_id, None)
        failed = set()
        opening = []
        for broker_id, broker in named.items():
            if broker_id in self.conns and not self.conns[broker_id].closing:
                continue
            if self._resting.left((broker.host, broker.port)):
                failed.add(broker_id)
                continue
            conn = self.conns[broker_id] = Broker(broker.host, broker.port, broker_id, self.settings)
            opening.append(self._open(conn, failed))
        if opening:
            yield first(gen.multi(opening), gen.sleep(1.0))
        raise gen.Return(failed)

    @gen.coroutine
    def _open(self, conn, failed):
        """
        Connect to one broker; a failure is noted, and the broker is out of the books at once.

        One that refuses the login stays in them: it is there, and tells everybody who needs it what is wrong.
        """
        try:
            yield conn.connect()
        except (exc.AuthenticationError, exc.CredentialsError) as error:
            self.outage.warn((conn.host, conn.port), "Broker %s: %s", conn.broker_id, error, broker=conn.broker_id)
            failed.add(conn.broker_id)
            self.outage.error = error
        except exc.KielError as error:
            self.outage.warn((conn.host, conn.port), "Broker %s: %s", conn.broker_id, error, broker=conn.broker_id)
            self._refresh.watch_for((conn.host, conn.port))
            failed.add(conn.broker_id)
            self._resting.failed((conn.host, conn.port))
            self.outage.error = error
            if self.conns.get(conn.broker_id) is conn:
                del self.conns[conn.broker_id]
        else:
            self._resting.worked((conn.host, conn.port))
            log.info("Connected to broker %s at %s:%d", conn.broker_id, conn.host, conn.port,
                     extra=dict(client=self.settings.client_id, broker=conn.broker_id))
            self.reached(conn)


# kiel 0.9 had `Connection` here, too
__all__ = ["Cluster", "Connection", "split_host"]
