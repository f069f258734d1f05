"""
What producers send and what comes back, between batches and the protocol: encoding, requests,
errors.
"""
from __future__ import absolute_import

from kiel import constants, exc
from kiel.protocol import errors, messages, produce, topic_ids

#: what a broker answers to a batch that is more than it takes at once, though its messages alone
#: may not be
TOO_LARGE = (errors.message_size_too_large, errors.record_list_too_large)


#: the codecs by their names, which are accepted as well as the numbers
CODECS = {
    "gzip": constants.GZIP, "snappy": constants.SNAPPY,
    "lz4": constants.LZ4, "zstd": constants.ZSTD,
}

#: The most bytes of a batch that these compress, as others take too long for one turn of the loop: gzip 35 ms for a
#: megabyte, zstd 5 ms on top of encoding. A single message may be larger.
MOST_BYTES = {constants.GZIP: 128 * 1024, constants.ZSTD: 512 * 1024}


def most_bytes(producer):
    """The most bytes of a batch of a producer."""
    return min(producer.max_request_bytes, MOST_BYTES.get(producer.compression, producer.max_request_bytes))


def codec(compression):
    """
    The number of a codec, or ``None``, for what the caller of a constructor named.

    :raises ValueError: for what is none
    """
    number = CODECS.get(compression, compression)
    if number not in constants.SUPPORTED_COMPRESSION:
        allowed = [repr(known) for known in constants.SUPPORTED_COMPRESSION] + sorted(CODECS)
        raise ValueError("compression %r is not one of %s" % (compression, ", ".join(allowed)))
    return number


class Headers(Exception):
    """
    A batch has headers, and the broker's message format no place for them.

    ``cuts`` are the indexes at which to split it, ``flags`` tell of each part whether it has
    headers, ``error`` is what becomes of those that have.
    """

    def __init__(self, records):
        super(Headers, self).__init__()
        having = [bool(headers) for headers in records.headers]
        self.cuts = [i for i in range(1, len(having)) if having[i] != having[i - 1]]
        self.flags = [having[i] for i in [0] + self.cuts]
        self.error = exc.UnsupportedVersionError(
            "this broker's message format has no headers (Kafka 0.11 is the first to have them)"
        )


def encode(batch, version, codec, transaction):
    """
    Makes the bytes of a batch in the format that a version of ProduceRequest carries.

    Bytes that are there are kept where they will do. A numbered batch whose fate is unknown is sent
    again, never made again.

    :param codec: a number of `kiel.constants`, or 0
    :param transaction: the producer's `kiel.clients.transaction.Transaction`, which numbers the
        messages
    :raises Headers: when there are any, and no place for them
    :raises kiel.exc.UnsupportedVersionError: for zstd where the broker does not know it; when a
        batch that may have been written would have to be made anew
    :raises kiel.exc.MissingCodecError: when the codec's package is not installed
    """
    magic = 2 if version >= 3 else 1 if version == 2 else 0
    numbered = magic == 2 and transaction.numbering
    if batch.sequence is not None and batch.doubtful:
        if magic != 2:
            raise exc.UnsupportedVersionError(
                "the batch may have been written, and this broker does not take it as it is",
                "produce", (3, 13), (0, version)
            )
        return
    if batch.version == (magic, codec) and numbered == (batch.sequence is not None):
        return
    if codec == constants.ZSTD and version < 7:
        raise exc.UnsupportedVersionError(
            "zstd needs Kafka 2.1 or newer", "produce", (7, 7), (0, version)
        )
    if magic < 2 and any(batch.records.headers or ()):
        raise Headers(batch.records)
    if batch.sequence is not None:
        transaction.give_back(batch)
    if not numbered:
        batch.data = messages.encode_pieces(batch.records, magic, codec)
    else:
        transaction.number(batch)
        try:
            batch.data = messages.encode_pieces(
                batch.records, magic, codec, -1, batch.identity[0], batch.identity[1],
                batch.sequence, transaction.transactional
            )
        except Exception:
            transaction.give_back(batch)
            raise
    batch.version = (magic, codec)


def request(producer, cargo):
    """The ProduceRequest of ``(outbox, batch)`` pairs whose batches are encoded."""
    topics = topic_ids.by_topic(produce.TopicRequest, (
        (outbox.topic, produce.PartitionRequest(
            partition_id=outbox.partition, message_set=messages.MessageSet.raw(batch.data)
        )) for outbox, batch in cargo
    ), producer.cluster.topic_ids)
    transaction = producer.identity
    made = produce.ProduceRequest(
        transactional_id=transaction.transactional_id,
        required_acks=producer.required_acks, timeout=producer.ack_timeout, topics=topics
    )
    if transaction.transactional and transaction.level < 2:
        made.narrow = (3, 11)  # 12 adds the partition to the transaction by itself (KIP-890)
    elif not topic_ids.all_known(topics):
        made.narrow = (0, 12)  # from 13 on there are no names
    return made


def error_of(part):
    """The exception for what a broker says of one partition; of none, when it says nothing."""
    if part is None:
        return exc.ProtocolError("the broker's answer says nothing of the partition")
    text = part.error_message
    for record in part.record_errors or ():
        text = "%s (message %d of the batch: %s)" % (
            text or "refused", record.batch_index, record.message
        )
    return exc.for_code(part.error_code, text)


def view(batch):
    """A batch's messages as kiel 0.9 showed them."""
    return [
        messages.Message(magic=0, attributes=0, key=key, value=value)
        for key, value, _, _ in batch.records
    ]
