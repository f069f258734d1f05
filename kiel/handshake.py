"""
What is said on a new connection before anybody's requests and the login: which versions the broker serves.
"""
from __future__ import absolute_import

import datetime
import errno
import logging

from tornado import gen, iostream

from kiel import constants, exc, identity
from kiel.protocol import api_versions, metadata
from kiel.protocol.wire import SERVED_BY_0_8, SERVED_BY_0_9, Wire
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: Seconds for the version probe where another broker of the cluster is known never to answer it; it still takes a
#: second connection's answer to believe the silence.
OLD_PROBE_TIMEOUT = 0.25


@gen.coroutine
def negotiate(opener):
    """
    Ask for the versions that the broker serves.

    :param opener: the `kiel.opener.Opener` of the connection

    Kafka 0.8 hangs up on the question and 0.9 never answers it. Either is believed only when another connection
    answers a Metadata request of version 0 at that very time, and never where another broker of the same cluster
    knows the question: a slow or paused broker, or one that is just coming up, must not be taken for an old one.
    """
    conn = opener.conn
    probe = _ask_versions(conn)
    patience = conn.settings.probe_timeout
    if conn.settings.old:
        patience = min(patience, OLD_PROBE_TIMEOUT)
    try:
        yield gen.with_timeout(datetime.timedelta(seconds=patience), probe, quiet_exceptions=Exception)
    except gen.TimeoutError:
        if conn.settings.modern:
            yield probe
            return
        yield _ask_old(opener, SERVED_BY_0_9)
        if probe.done() and not probe.exception():
            return  # slow, but not old
        yield _reopen(opener, SERVED_BY_0_9)
    except exc.BrokerConnectionError as error:
        if conn.settings.modern or not _hung_up(conn, error):
            raise
        opener.begin_anew()
        try:
            yield _ask_old(opener, SERVED_BY_0_8)
        except exc.KielError:
            raise error
        yield _reopen(opener, SERVED_BY_0_8)


def _hung_up(conn, error):
    """Return whether the broker closed the connection upon the probe, as 0.8 does; brokers with SASL are newer."""
    return conn.settings.sasl is None and (
        isinstance(error.cause, iostream.StreamClosedError) or
        getattr(error.cause, "errno", None) in (errno.ECONNRESET, errno.EPIPE)
    )


@gen.coroutine
def _ask_versions(conn):
    """Send ApiVersions, in the version that the broker prefers after at most one refusal (KIP-511)."""
    begun = monotonic()
    response = yield conn.transmit(api_versions.ApiVersionsRequest(**identity.expected(conn)))
    conn.round_trip = monotonic() - begun
    if response.error_code == 35:
        highest = 0
        for served in response.api_keys:
            if served.api_key == constants.API_KEYS["api_versions"]:
                highest = served.max_version
        request = api_versions.ApiVersionsRequest()
        request.narrow = (0, highest)
        response = yield conn.transmit(request)
    if response.error_code:
        raise identity.refused(conn, response) or exc.for_code(response.error_code, "asked %r for its versions" % conn)
    conn.wire.learn(response.api_keys, response.finalized_features)
    conn.settings.modern = True
    conn.settings.old = False


@gen.coroutine
def _ask_old(opener, versions):
    """Ask for metadata over another connection, as an old broker that serves ``versions`` takes it."""
    old = opener.companion(versions)
    try:
        yield old.dial()
        # no topic, since on 0.8 a name would create it
        yield old.conn.send(metadata.MetadataRequest(topics=[]))
    finally:
        old.conn.close()


@gen.coroutine
def _reopen(opener, versions):
    """Dial once more, an old broker: nothing more can be asked over the connection of the probe."""
    conn = opener.conn
    if conn.closing:  # closed meanwhile
        raise conn.error
    log.info("%r does not support ApiVersions: taken to be Kafka 0.%d", conn, 9 if "heartbeat" in versions else 8)
    conn.settings.old = True
    opener.begin_anew()
    conn.wire = Wire(versions)
    yield opener.dial()
