"""Why a batch is not taken: what a broker says of it, or what the format of its messages does not have."""
from __future__ import absolute_import

from kiel import exc
from kiel.protocol import errors

#: what a broker answers to a batch that is more than it takes at once, though its messages alone may not be
TOO_LARGE = (errors.message_size_too_large, errors.record_list_too_large)


class Refusal(object):
    """
    Why a batch that was under way was not taken.

    :param error: a `kiel.exc.KielError`, usually
    :param part: what the answer says of the partition; None when it says nothing, or none came
    """

    __slots__ = ("error", "part", "code", "numbered", "explained", "asking")

    def __init__(self, error, part=None):
        self.error = error
        self.part = part
        self.code = None if part is None else part.error_code
        #: whether the batch was numbered then
        self.numbered = False
        #: whether it was asked what more there is to say of the error, and whether that is under way
        self.explained = self.asking = False

    def halves(self, batch):
        """Return whether the batch is to be sent in two halves."""
        return self.code in TOO_LARGE and len(batch) > 1 and not batch.keeps_bytes


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


def error_of(part, topic=None, transactional_id=None):
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
