"""Between batches and the protocol: how a batch is encoded, the request that carries it, what an answer says of it."""
from __future__ import absolute_import

from kiel import constants, exc
from kiel.protocol import errors, messages
from kiel.protocol.flat import FlatProduceRequest

#: what a broker answers to a batch that is more than it takes at once, though its messages alone may not be
TOO_LARGE = (errors.message_size_too_large, errors.record_list_too_large)

#: the codecs by their names, which are accepted as well as the numbers
CODECS = {
    "gzip": constants.GZIP, "snappy": constants.SNAPPY,
    "lz4": constants.LZ4, "zstd": constants.ZSTD,
}

#: The most bytes of a batch that these compress, as others take too long for one turn of the loop: gzip 35 ms for a
#: megabyte, zstd 5 ms on top of encoding. A single message may be larger.
MOST_BYTES = {constants.GZIP: 128 * 1024, constants.ZSTD: 512 * 1024}


def batch_limit(options):
    """Return the most bytes of a batch of a producer."""
    limit = options.max_request_bytes
    return min(limit, MOST_BYTES.get(options.compression, limit))


def codec(compression):
    """
    Return the number of a codec that the caller of a constructor named; None for none.

    :raises ValueError: when there is no such codec
    """
    try:
        number = CODECS.get(compression, compression)
    except TypeError:  # what is no key of a dict
        number = compression
    if isinstance(number, bool) or number not in constants.SUPPORTED_COMPRESSION:
        allowed = [repr(known) for known in constants.SUPPORTED_COMPRESSION] + sorted(CODECS)
        raise ValueError("compression %r is not one of %s" % (compression, ", ".join(allowed)))
    return number


class HeadersNotSupported(Exception):
    """
    A batch has headers, which the broker's message format can't carry.

    :param records: the `kiel.protocol.columns.Columns` of the batch
    """

    def __init__(self, records):
        super(HeadersNotSupported, self).__init__()
        having = [bool(headers) for headers in records.headers]
        #: the indexes at which to split the batch
        self.cuts = [i for i in range(1, len(having)) if having[i] != having[i - 1]]
        #: for each part whether its messages have headers
        self.flags = [having[i] for i in [0] + self.cuts]
        #: the error of the messages with headers
        self.error = exc.UnsupportedVersionError(
            "this broker's message format has no headers (Kafka 0.11 is the first to have them)"
        )


def encode(batch, version, codec, state):
    """
    Encode a batch in the format that a version of ProduceRequest carries.

    Bytes that are there already are kept where they will do. A numbered batch of which it is not known whether it was
    written is sent again as it is, never encoded again.

    :param codec: a number of `kiel.constants`, or 0
    :param state: the `kiel.clients.producing.producer_state.ProducerState`, which numbers the messages
    :raises HeadersNotSupported: when there are headers, and the format has none
    :raises kiel.exc.UnsupportedVersionError: for zstd where the broker does not know it; when a batch that may have
        been written would have to be encoded anew
    :raises kiel.exc.MissingCodecError: when the codec's package is not installed
    """
    batch.attempts += 1
    magic = 2 if version >= 3 else 1 if version == 2 else 0
    numbered = magic == 2 and state.numbering
    if batch.sequence is not None and batch.doubtful:
        if magic != 2:
            raise exc.UnsupportedVersionError(
                "the batch may have been written already, and this broker does not accept its message format",
                "produce", (3, 13), (0, version)
            )
        return
    if batch.data is not None and batch.version == (magic, codec) and numbered == (batch.sequence is not None):
        return
    if codec == constants.ZSTD and version < 7:
        raise exc.UnsupportedVersionError(
            "zstd needs Kafka 2.1 or newer", "produce", (7, 7), (0, version)
        )
    if magic < 2 and any(batch.records.headers or ()):
        raise HeadersNotSupported(batch.records)
    if not numbered:
        state.drop(batch)
        batch.data = messages.encode_pieces(batch.records, magic, codec)
    else:
        fresh = batch.sequence is None  # others behind it may have been numbered already: its numbers stay
        if fresh:
            state.number(batch)
        try:
            batch.data = messages.encode_pieces(
                batch.records, magic, codec, -1, batch.identity[0], batch.identity[1],
                batch.sequence, state.transactional
            )
        except Exception:
            if fresh:
                state.give_back(batch)
            raise
    batch.version = (magic, codec)


def request(options, state, ids, batches):
    """
    Return the ProduceRequest of ``(partition queue, batch)`` pairs whose batches are encoded.

    :param ids: ``{topic: id}`` as far as the ids are known
    """
    made = FlatProduceRequest(state.transactional_id, options.required_acks, options.ack_timeout, [
        (queue.topic, ids.get(queue.topic), queue.partition, batch.data) for queue, batch in batches
    ])
    if state.transactional and state.level < 2:
        made.narrow = (3, 11)  # 12 adds the partition to the transaction by itself (KIP-890)
    return made


def may_be_split(batch, part):
    """Return whether a batch that was refused is to be sent in two halves."""
    if part is None or part.error_code not in TOO_LARGE or len(batch) < 2:
        return False
    return not (batch.doubtful and batch.sequence is not None)


def error_of(part, batch, topic=None, transactional_id=None):
    """
    Return the exception for what a broker says of one partition.

    :param part: of a ProduceResponse; None when it says nothing of the partition
    """
    if part is None:
        return exc.ProtocolError("the broker's response lacks the partition")
    text = part.error_message
    for record in part.record_errors or ():
        text = "%s (message %d of the batch: %s)" % (
            text or "refused", record.batch_index, record.message
        )
    return exc.for_code(part.error_code, text, "produce", topic=topic, transactional_id=transactional_id)


def view(batch):
    """Return a batch's messages as kiel 0.9 showed them: a list of `kiel.protocol.messages.Message`."""
    records = batch.records
    keys = list(records.keys or ())
    keys += [None] * (len(records.values) - len(keys))  # those of a run have none yet
    return [
        messages.Message(magic=0, attributes=0, key=key, value=value) for key, value in zip(keys, records.values)
    ]
