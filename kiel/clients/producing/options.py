"""The settings of a producer, checked."""
from __future__ import absolute_import

from kiel import arguments, constants

#: the codecs by their names, which are accepted as well as the numbers
CODECS = {
    "gzip": constants.GZIP, "snappy": constants.SNAPPY,
    "lz4": constants.LZ4, "zstd": constants.ZSTD,
}

#: The most bytes of a batch that these compress, as others take too long for one turn of the loop: gzip 35 ms for a
#: megabyte, zstd 5 ms on top of encoding. A single message may be larger.
MOST_BYTES = {constants.GZIP: 128 * 1024, constants.ZSTD: 512 * 1024}

#: seconds for which a part-filled batch waits when no ``linger`` was given
LINGER = 0.05

#: the most batches of a partition in flight where they are numbered: a broker knows a batch again among the last five
MOST_NUMBERED = 5


class Options(object):
    """
    The settings of a producer; parameters are those of `kiel.clients.producer.Producer`.

    :raises TypeError: for a setting of a wrong type
    :raises ValueError: for one that there is not, or for settings that exclude each other
    """

    def __init__(
        self, compression=None, required_acks=-1, ack_timeout=500, linger=None, max_request_bytes=1000000,
        buffer_bytes=32 * 1024 * 1024, delivery_timeout=120, idempotent=None, transactional_id=None,
        transaction_timeout=60, max_in_flight=None
    ):
        codec = codec_named(compression)
        required_acks = arguments.integer("required_acks", required_acks, -1, 0x7fff)
        if transactional_id is not None and transactional_id != "":
            transactional_id = arguments.text("transactional_id", transactional_id)
        _check_idempotence(idempotent, transactional_id, required_acks)
        #: the number of the codec, or None; changes in `compress_with` only
        self.compression = codec
        #: the most bytes of a batch
        self.batch_limit = 0
        self.required_acks = required_acks
        #: milliseconds
        self.ack_timeout = arguments.integer("ack_timeout", ack_timeout, 0)
        #: seconds, or None: the message that fills a batch waits until it is through
        self.linger = None if linger is None else arguments.seconds("linger", linger)
        self.max_request_bytes = arguments.integer("max_request_bytes", max_request_bytes, 1)
        self.buffer_bytes = arguments.integer("buffer_bytes", buffer_bytes, 1, arguments.MAX_INT64)
        #: seconds
        self.delivery_timeout = arguments.seconds("delivery_timeout", delivery_timeout)
        self.idempotent = idempotent if required_acks == -1 else False
        self.transactional_id = transactional_id or None
        #: seconds
        self.transaction_timeout = arguments.seconds("transaction_timeout", transaction_timeout)
        #: batches of a partition, or None: as many as keep the order
        self.max_in_flight = _in_flight(max_in_flight, idempotent or transactional_id)
        self.compress_with(codec)

    def compress_with(self, compression):
        """
        Have batches compressed by another codec from now on.

        :raises ValueError: when there is no such codec
        """
        self.compression = codec_named(compression)
        self.batch_limit = min(self.max_request_bytes, MOST_BYTES.get(self.compression, self.max_request_bytes))

    @property
    def linger_time(self):
        """Seconds for which a batch that is not full waits for more messages."""
        return LINGER if self.linger is None else self.linger


def codec_named(compression):
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


def _in_flight(most, numbered):
    """Return ``max_in_flight``, checked."""
    if most is None:
        return None
    if arguments.integer("max_in_flight", most, 1) > MOST_NUMBERED and numbered:
        raise ValueError(
            "an idempotent producer allows max_in_flight of %d at most: of no more batches do brokers detect duplicates"
            % MOST_NUMBERED)
    return most


def _check_idempotence(idempotent, transactional_id, required_acks):
    """Raise the error of settings that exclude each other."""
    if idempotent not in (None, True, False):
        raise TypeError("idempotent has to be True, False or None, not %r" % (idempotent,))
    if (idempotent or transactional_id) and required_acks != -1:
        raise ValueError("an idempotent producer needs required_acks=-1")
    if transactional_id and idempotent is False:
        raise ValueError("a producer with a transactional_id is always idempotent")
