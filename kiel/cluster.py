"""The cluster as one client sees it: brokers, topics, leaders. The only metadata there is."""
from __future__ import absolute_import

import datetime
import logging
import random
import time

import six
from tornado import concurrent, gen, ioloop

from kiel import constants, exc
from kiel.broker import Broker
from kiel.connection import Connection
from kiel.events import ignore, settle
from kiel.fairness import Turn
from kiel.settings import Settings
from kiel.protocol import metadata
from kiel.retry import Backoff, monotonic
from kiel.topics import Topics, known_of

log = logging.getLogger(__name__)

#: how long metadata is asked again for what an answer lacked, before the healthy rest goes on without it
REPAIR = Backoff(first=0.1, most=0.4, deadline=1.0)

#: how long a failed address is left alone; ``deadline`` does not count
RECONNECT = Backoff(first=0.1, most=2.0, deadline=None)

#: seconds after which the next broker is asked for metadata while the one before has not answered
METADATA_PATIENCE = 3.0

#: seconds that `Cluster.settle` waits for dialling to end
SETTLING = 0.2

#: seconds that `Cluster.ensure` waits for a broker to create a topic
CREATION_TIME = 5.0


class Cluster(Topics):
    """
    Brokers, topics and leaders, asked of the brokers themselves and kept fresh.

    ``cluster[broker_id]`` is the connection to a broker (KeyError when unknown); iteration and ``in`` go over ids.

    :param bootstrap_hosts: list of "host" or "host:port", or one such string, with commas where there are several
    :param settings: `kiel.settings.Settings`
    :param metadata_max_age: seconds after which metadata is asked again without any error
    """

    def __init__(self, bootstrap_hosts, settings=None, metadata_max_age=300):
        super(Cluster, self).__init__()
        if isinstance(bootstrap_hosts, six.string_types):
            bootstrap_hosts = bootstrap_hosts.split(",")
        self.bootstrap_hosts = [host.strip() for host in bootstrap_hosts if host.strip()]
        if not self.bootstrap_hosts:
            raise ValueError("brokers: at least one 'host:port' is needed")
        for host in self.bootstrap_hosts:
            split_host(host)  # a malformed one is refused at once
        self.settings = settings or Settings()
        self.metadata_max_age = metadata_max_age
        #: called, without arguments and on the loop, after every answer that was taken over
        self.listeners = []
        #: why no broker could be reached, while none can; None otherwise
        self.last_error = None
        #: when the last broker was lost (`kiel.retry.monotonic`); None while one answers
        self.down_since = None
        self._healing = None
        self._failures = {}
        #: (host, port) of the brokers that the last answer named
        self._named = []
        self._refresh = None
        self._turn = Turn()
        self._stopped = False

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
        Finds the cluster through the bootstrap hosts. May be called again.

        :raises kiel.exc.NoBrokersError: when none of them answers
        :raises kiel.exc.AuthenticationError: when that is why
        """
        self._stopped = False
        response = yield self._bootstrap()
        yield self.heal(response)
        self._schedule_refresh()

    @gen.coroutine
    def drain(self):
        """Waits a moment for brokers to have read what asked for no answer; see `kiel.broker.Broker.drain`."""
        yield [conn.drain() for conn in list(self.conns.values())]

    def stop(self):
        """Closes every connection; what is pending on them fails."""
        self._stopped = True
        if self._refresh is not None:
            loop, handle = self._refresh
            self._refresh = None
            loop.remove_timeout(handle)
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
                yield _first(future, limit)

    def _schedule_refresh(self):
        """Sets the timer of the next refresh."""
        loop = ioloop.IOLoop.current()
        if self._refresh is not None:
            self._refresh[0].remove_timeout(self._refresh[1])
        self._refresh = (loop, loop.call_later(self.metadata_max_age, self._on_refresh))

    @gen.coroutine
    def _on_refresh(self):
        """Asks for metadata because it is old."""
        self._refresh = None
        try:
            yield self.heal()
        except exc.KielError as error:
            log.warning("Metadata could not be refreshed: %s", error)
        finally:
            if not self._stopped:
                self._schedule_refresh()

    # -- metadata --

    def heal(self, response=None):
        """
        Brings brokers, topics and leaders up to date; gives a Future.

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
                    self._drop(broker_id)
            failed = yield self.process_brokers(response.brokers)
            missing = self.process_topics(response.topics, asked)
            self._tell_listeners()
            delay = clock.delay()
            if not (failed or missing) or delay is None:
                break
            asked = sorted(missing)
            response = None
            yield gen.sleep(delay)

    def _tell_listeners(self):
        """Calls all `listeners`; one that fails does not keep the others from hearing."""
        for listener in list(self.listeners):
            try:
                listener()
            except Exception:
                log.exception("A listener of the cluster's metadata failed")

    @gen.coroutine
    def ensure(self, topic, timeout=CREATION_TIME):
        """
        Makes a topic known, by a question that names it, upon which most brokers create it.

        Gives True when it is known with a leader for each partition, False when it is not after ``timeout`` seconds.

        :raises kiel.exc.BrokerError: for an error that waiting does not mend, such as a forbidden or invalid name
        :raises kiel.exc.NoBrokersError: when nobody answers within the time
        """
        clock = Backoff(first=0.05, most=0.5, deadline=timeout).start()
        while not self._stopped:
            try:
                response = yield self.get_metadata([topic])
                yield self.process_brokers(response.brokers)
                missing = self.process_topics(response.topics, [topic])
                self._tell_listeners()
            except exc.NoBrokersError:
                delay = clock.delay()
                if delay is None:
                    raise
                yield gen.sleep(delay)
                continue
            error = self.topic_errors.get(topic)
            if error is not None and not error.retriable:
                raise error
            if self.topics.get(topic) and topic not in missing:
                raise gen.Return(True)
            delay = clock.delay()
            if delay is None:
                break
            yield gen.sleep(delay)
        raise gen.Return(bool(self.leaders.get(topic)))

    @gen.coroutine
    def get_metadata(self, topics=None, create=True):
        """
        Asks one broker after the other until one answers, the least busy first; at last the bootstrap hosts.

        :param topics: names; none for all topics
        :param create: whether the broker may create a topic that is not there; from Kafka 0.11 on it can be told not to
        :raises kiel.exc.NoBrokersError: when nobody answers

        The ``topics`` of an answer that takes long to read are what is `known_of` them, for `process_topics`.
        """
        conns = [conn for conn in self.conns.values() if not conn.closing]
        # A broker with old unanswered requests may be paused; by chance otherwise, so that no broker serves everybody.
        random.shuffle(conns)
        conns.sort(key=lambda conn: len(conn.pending))
        for conn in conns:
            if conn.closing:
                continue
            try:
                # a broker that stands still must not hold up the others' metadata for the whole request time-out
                response = yield gen.with_timeout(
                    datetime.timedelta(seconds=METADATA_PATIENCE), self._ask(conn, topics, create),
                    quiet_exceptions=exc.KielError
                )
            except gen.TimeoutError:
                log.warning("No metadata from %r within %g s", conn, METADATA_PATIENCE)
            except exc.KielError as error:
                log.warning("No metadata from %r: %s", conn, error)
            else:
                raise gen.Return(response)
        response = yield self._bootstrap(topics, create)
        raise gen.Return(response)

    @gen.coroutine
    def _ask(self, conn, topics, create=True):
        """Gives one broker's metadata; an error in the answer as a whole is raised."""
        yield conn.connect()
        request = metadata.MetadataRequest(topics=list(topics or []))
        if not create and conn.wire.reaches(request.api, 4):
            request.allow_auto_topic_creation = False
        request.walked = "topics"
        response = yield conn.send(request)
        if not isinstance(response.topics, list):
            response.topics = yield self._walk(response.topics)
        error = exc.for_code(response.error_code)
        if error is not None:
            raise error
        self.down_since = self.last_error = None
        raise gen.Return(response)

    @gen.coroutine
    def _walk(self, topics):
        """Reads the topics of a large answer, with turns for the loop; gives a list of what is `known_of` each."""
        read = []
        for topic in topics:
            read.append(known_of(topic))
            if self._turn.over(time.time()):
                yield gen.moment
        raise gen.Return(read)

    @gen.coroutine
    def _bootstrap(self, topics=None, create=True):
        """
        Gives the metadata of the first bootstrap host that answers; its connection is closed again.

        The brokers that were known last are asked after them: the bootstrap hosts may be gone for good by now.
        """
        error = None
        hosts = [split_host(host) for host in self.bootstrap_hosts]
        hosts += [address for address in self._named if address not in hosts]
        for host, port in hosts:
            if self._stopped:
                raise exc.NoBrokersError("the client is closed")
            if self._resting(host, port):
                continue
            conn = Connection(host, port, settings=self.settings)
            try:
                response = yield self._ask(conn, topics, create)
            except exc.KielError as failure:
                log.warning("No metadata from %s:%d: %s", host, port, failure)
                self._note_failure(host, port)
                # a refused login is what the operator has to know, whatever else failed
                if not isinstance(error, exc.AuthenticationError):
                    error = failure
            else:
                self._failures.pop((host, port), None)
                raise gen.Return(response)
            finally:
                conn.close()
        error = error or self.last_error
        self.last_error = error
        if self.down_since is None:
            self.down_since = monotonic()
        if isinstance(error, exc.AuthenticationError):
            raise error
        raise exc.NoBrokersError("none of %s answers; the last error: %s" % (
            ", ".join("%s:%d" % address for address in hosts), error))

    # -- brokers --

    @gen.coroutine
    def process_brokers(self, brokers):
        """
        Connects to the brokers of a metadata answer that are new or have moved, all at once.

        Brokers no longer named are aborted and forgotten. Gives the set of ids that can't be reached now; a broker
        that takes long to connect to is not waited for beyond a second, so that it holds up nobody else.
        """
        named = dict((broker.broker_id, broker) for broker in brokers)
        self._named = [(broker.host, broker.port) for broker in brokers] or self._named
        for broker_id, conn in list(self.conns.items()):
            broker = named.get(broker_id)
            if broker is None or (broker.host, broker.port) != (conn.host, conn.port):
                conn.abort()
                self._drop(broker_id)
        failed = set()
        opening = []
        for broker_id, broker in named.items():
            if broker_id in self.conns and not self.conns[broker_id].closing:
                continue
            if self._resting(broker.host, broker.port):
                failed.add(broker_id)
                continue
            conn = self.conns[broker_id] = Broker(broker.host, broker.port, broker_id, self.settings)
            opening.append(self._open(conn, failed))
        if opening:
            yield _first(gen.multi(opening), gen.sleep(1.0))
        raise gen.Return(failed)

    @gen.coroutine
    def _open(self, conn, failed):
        """Connects to one broker; a failure is noted, and the broker is out of the books at once."""
        try:
            yield conn.connect()
        except exc.KielError as error:
            log.warning("Broker %s: %s", conn.broker_id, error)
            failed.add(conn.broker_id)
            self._note_failure(conn.host, conn.port)
            self.last_error = error
            if self.conns.get(conn.broker_id) is conn:
                self._drop(conn.broker_id)
        else:
            self._failures.pop((conn.host, conn.port), None)

    def _drop(self, broker_id):
        """Takes a broker out of the books; that it has gone already is no error."""
        self.conns.pop(broker_id, None)

    def _note_failure(self, host, port):
        """Lets an address rest, longer after each failure in a row."""
        clock, _ = self._failures.get((host, port), (None, None))
        clock = clock or RECONNECT.start()
        self._failures[host, port] = (clock, monotonic() + clock.delay())

    def _resting(self, host, port):
        """Whether an address failed so lately that it is left alone."""
        _, until = self._failures.get((host, port), (None, 0))
        return monotonic() < until


def split_host(host):
    """
    Gives ``(host, port)`` of "host", "host:port", "[::1]:port" or a bare IPv6 address.

    :raises ValueError: for anything else
    """
    text = host.strip()
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest
        malformed = not bracket or (rest and not rest.startswith(":"))
    elif text.count(":") > 1:
        name, port, malformed = text, "", False
    else:
        name, _, port = text.partition(":")
        malformed = False
    if malformed or not name or not (port.isdigit() or port == "") or int(port or 1) > 65535:
        raise ValueError("not a broker's address: %r; expected 'host:port'" % host)
    return name, int(port or constants.DEFAULT_KAFKA_PORT)


def _first(*futures):
    """A Future that is done when the first of several is; it takes over nothing of theirs."""
    done = concurrent.Future()
    for future in futures:
        future.add_done_callback(lambda _: settle(done))
    return done
