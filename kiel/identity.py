"""Who answers at an address: the broker that was dialled, or another one, or one of another cluster."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.protocol import metadata

#: what a broker of Kafka 4.4 or later says that is not the one the client asked for (KIP-1242)
REBOOTSTRAP_REQUIRED = 129


def expected(conn):
    """Return the fields by which ApiVersions asks whether this is the broker that was meant (version 5, KIP-1242)."""
    if conn.broker_id is None or conn.settings.cluster_id is None:
        return {}
    return {"cluster_id": conn.settings.cluster_id, "node_id": conn.broker_id}


def refused(conn, response):
    """Return the error of an answer that says that it was another broker that was meant; None otherwise."""
    if response.error_code != REBOOTSTRAP_REQUIRED:
        return None
    return exc.WrongBrokerError(
        conn.host, conn.port, conn.broker_id, "this is not broker %s of cluster %s"
        % (conn.broker_id, conn.settings.cluster_id)
    )


def _has_to_ask(wire):
    """Return whether a broker can tell who it is, and has not told it yet with its versions."""
    return wire.reaches("metadata", 2) and not wire.reaches("api_versions", 5)


@gen.coroutine
def check(conn):
    """
    Ask a broker before Kafka 4.4 who it is, by its own metadata.

    :raises kiel.exc.WrongBrokerError: when it is of another cluster, or another broker of this one
    """
    cluster_id = conn.settings.cluster_id
    if conn.broker_id is None or cluster_id is None or not _has_to_ask(conn.wire):
        return
    request = metadata.MetadataRequest()
    request.no_topics = True
    response = yield conn.transmit(request)
    if response.cluster_id and response.cluster_id != cluster_id:
        raise exc.WrongBrokerError(
            conn.host, conn.port, conn.broker_id, "this broker belongs to cluster %s, but the client to cluster %s"
            % (response.cluster_id, cluster_id)
        )
    here = [broker.broker_id for broker in response.brokers if (broker.host, broker.port) == (conn.host, conn.port)]
    if here and conn.broker_id not in here:
        raise exc.WrongBrokerError(
            conn.host, conn.port, conn.broker_id, "this is broker %s, expected broker %s" % (here[0], conn.broker_id)
        )
