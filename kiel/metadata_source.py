"""Who is asked for metadata: the brokers that are known, one after the other, and the bootstrap hosts at last."""
from __future__ import absolute_import

import datetime
import logging
import random
import time

from tornado import gen

from kiel import exc
from kiel.addresses import split_host
from kiel.connection import Connection
from kiel.fairness import Turn
from kiel.protocol import metadata
from kiel.security import login_pause
from kiel.topics import known_of

log = logging.getLogger(__name__)

#: seconds after which the next broker is asked for metadata while the one before has not answered
PATIENCE = 3.0


class MetadataSource(object):
    """
    Gets metadata from whoever answers first.

    :param hosts: the bootstrap hosts, "host:port" each
    :param settings: `kiel.settings.Settings`
    :param outage: the `kiel.outage.Outage` to tell whether anybody answers
    :param resting: the `kiel.resting.Resting` of addresses
    """

    def __init__(self, hosts, settings, outage, resting):
        self.hosts = hosts
        self.settings = settings
        self.outage = outage
        self.resting = resting
        #: (host, port) of the brokers that the last answer named
        self.named = []
        #: whether the client is closed: nobody is asked any more
        self.stopped = False
        self._turn = Turn()
        #: connections to bootstrap hosts that are being asked
        self._asking = set()
        #: how often that was given up
        self._given_up = 0

    def forget(self):
        """Drop the questions that are under way."""
        self._given_up += 1
        self._asking.clear()

    def give_up(self):
        """End the questions to bootstrap hosts that are under way, by an error."""
        self._given_up += 1
        for conn in list(self._asking):
            conn.close()

    @gen.coroutine
    def ask(self, conns, topics=None, create=True):
        """
        Ask the brokers one after the other until one answers, the least busy first; at last the bootstrap hosts.

        :param conns: `kiel.broker.Broker` each
        :param topics: names; none for all topics
        :param create: whether the broker may create a topic that is not there
        :raises kiel.exc.NoBrokersError: when nobody answers
        """
        conns = [conn for conn in conns if not conn.closing]
        # a broker with old unanswered requests may be paused; else by chance, so that no broker serves everybody
        random.shuffle(conns)
        conns.sort(key=lambda conn: len(conn.pending))
        for conn in conns:
            if conn.closing:
                continue
            try:
                # a broker that stands still must not hold up the others' metadata for the whole request time-out
                response = yield gen.with_timeout(
                    datetime.timedelta(seconds=PATIENCE), self._ask_one(conn, topics, create),
                    quiet_exceptions=exc.KielError
                )
            except gen.TimeoutError:
                self._warn(conn, "No metadata from %r within %g s", conn, PATIENCE)
            except exc.KielError as error:
                self._warn(conn, "No metadata from %r: %s", conn, error)
            else:
                raise gen.Return(response)
        response = yield self.bootstrap(topics, create)
        raise gen.Return(response)

    @gen.coroutine
    def bootstrap(self, topics=None, create=True):
        """
        Return the metadata of the first bootstrap host that answers; its connection is closed again.

        The brokers that were known last are asked after them: the bootstrap hosts may be gone for good by now.
        """
        hosts = [split_host(host) for host in self.hosts]
        hosts += [address for address in self.named if address not in hosts]
        error = None
        given_up = self._given_up
        for address in hosts:
            if self.stopped or given_up != self._given_up:
                raise exc.NoBrokersError("the client was closed, or its time is up")
            if self.resting.left(address):
                continue
            conn = Connection(address[0], address[1], settings=self.settings)
            self._asking.add(conn)
            # while nobody answers they are asked every few seconds: `Outage` says so once a minute
            log.log(logging.INFO if self.outage.since is None else logging.DEBUG,
                    "Asking bootstrap host %s:%d for the cluster", address[0], address[1],
                    extra=dict(client=self.settings.client_id))
            try:
                response = yield self._ask_one(conn, topics, create)
            except exc.KielError as failure:
                if given_up != self._given_up:
                    continue
                self._warn(conn, "No metadata from %s:%d: %s", address[0], address[1], failure)
                refused = isinstance(failure, (exc.AuthenticationError, exc.CredentialsError))
                self.resting.failed(address, login_pause.PAUSE if refused else None)
                # a refused login is what the operator has to know, whatever else failed
                if not isinstance(error, exc.AuthenticationError):
                    error = failure
            else:
                self.resting.worked(address)
                raise gen.Return(response)
            finally:
                self._asking.discard(conn)
                conn.close()
        if given_up != self._given_up:
            raise exc.NoBrokersError("the client was closed, or its time is up")
        raise self._nobody(hosts, error or self.outage.error)

    def _nobody(self, hosts, error):
        """Note that nobody answers, and return the error to raise."""
        self.outage.begin(error)
        if isinstance(error, exc.AuthenticationError):
            return error
        return exc.NoBrokersError("none of %s answers; the last error: %s" % (
            ", ".join("%s:%d" % address for address in hosts), error))

    def _warn(self, conn, text, *args):
        self.outage.warn((conn.host, conn.port), text, *args, broker=conn.broker_id)

    def _tell_over(self, conn):
        """A broker answered, and with metadata."""
        self.outage.over((conn.host, conn.port), "Broker %s:%d answers again", conn.host, conn.port,
                         broker=conn.broker_id)
        self.outage.over(("Metadata refresh failed: %s",), "Metadata came again")

    @gen.coroutine
    def _ask_one(self, conn, topics, create):
        """Return one broker's metadata; an error in the answer as a whole is raised."""
        yield conn.connect()
        request = metadata.MetadataRequest(topics=list(topics or []))
        if not create:
            if conn.wire.reaches(request.api, 4):
                request.allow_auto_topic_creation = False
            else:
                request.topics = []  # a name would create the topic there, so all are asked for
        request.walked = "topics"
        response = yield conn.send(request)
        if not isinstance(response.topics, list):
            response.topics = yield self._walk(response.topics)
        error = exc.for_code(response.error_code, None, response.api) or self._of_another_cluster(conn, response)
        if error is not None:
            raise error
        self.outage.end()
        if self.outage.troubles:
            self._tell_over(conn)
        raise gen.Return(response)

    def _of_another_cluster(self, conn, response):
        """
        Return the error of an answer from a cluster that is not this client's; the first answer tells which is.

        A port used again, a wrong name or a restored copy would otherwise be given messages, and read, without a word.
        """
        if not response.cluster_id:  # before 0.10.1 clusters have no id
            return None
        if self.settings.cluster_id is None:
            self.settings.cluster_id = response.cluster_id
        if self.settings.cluster_id == response.cluster_id:
            return None
        error = exc.WrongBrokerError(
            conn.host, conn.port, conn.broker_id, "this broker belongs to cluster %s, but the client to cluster %s"
            % (response.cluster_id, self.settings.cluster_id)
        )
        conn.abort(error)
        return error

    @gen.coroutine
    def _walk(self, topics):
        """Read the topics of a large answer, with turns for the loop; return what is `known_of` each."""
        read = []
        for topic in topics:
            read.append(known_of(topic))
            if self._turn.over(time.time()):
                yield gen.moment
        raise gen.Return(read)
