"""The transactions of a fake cluster, as their coordinator has them (KIP-98, KIP-360, KIP-890)."""
from __future__ import absolute_import

from kiel.retry import monotonic
from kiel.testing.fake.batches import marker

#: error codes
INVALID_EPOCH, INVALID_STATE, INVALID_MAPPING, FENCED, ID_NOT_FOUND = 47, 48, 49, 90, 105

LAST_EPOCH = 0x7fff - 1


class Transaction(object):
    """What is known of one transactional id."""

    def __init__(self, producer_id, timeout):
        self.producer_id = producer_id
        self.epoch = 0
        self.timeout = timeout
        #: (topic, partition) that are written to
        self.partitions = set()
        self.groups = set()
        #: when it is aborted, while it is open
        self.deadline = None
        #: (epoch, committed) of the one that ended last, for a client that asks again
        self.ended = None

    @property
    def is_open(self):
        """Whether there is anything to commit or abort."""
        return bool(self.partitions or self.groups)

    def began(self):
        """Note that there is something in it."""
        if self.deadline is None:
            self.deadline = monotonic() + self.timeout

    def bump(self, next_id):
        """Take the next epoch, of another producer id where there is none left."""
        if self.epoch >= LAST_EPOCH:
            self.producer_id, self.epoch = next_id(), 0
        else:
            self.epoch += 1


class Transactions(object):
    """
    Producer ids, and the transactions of those that have a transactional id.

    :param topics: the `kiel.testing.fake.topics.Topics`
    :param groups: the `kiel.testing.fake.groups.Groups`
    :param written: a `kiel.testing.fake.signal.Signal` of what readers may see
    """

    def __init__(self, topics, groups, written):
        self.topics = topics
        self.groups = groups
        self.written = written
        self.by_id = {}
        #: how many were aborted
        self.aborted = 0
        self._last_producer_id = 999

    def next_producer_id(self):
        """Return an id that nobody had."""
        self._last_producer_id += 1
        return self._last_producer_id

    def init(self, request):
        """Answer an InitProducerId."""
        name = request.transactional_id
        if name is None:
            return dict(error_code=0, producer_id=self.next_producer_id(), producer_epoch=0)
        if not name:
            return dict(error_code=42)
        known = self.by_id.get(name)
        if known is None:
            known = self.by_id[name] = Transaction(self.next_producer_id(), request.transaction_timeout / 1000.0)
            return dict(error_code=0, producer_id=known.producer_id, producer_epoch=known.epoch)
        if request.producer_id >= 0 and (request.producer_id, request.producer_epoch) != (
                known.producer_id, known.epoch):
            return dict(error_code=FENCED)
        known.timeout = request.transaction_timeout / 1000.0
        self._end_epoch(known, False)  # whoever had it is fenced
        known.ended = None
        return dict(error_code=0, producer_id=known.producer_id, producer_epoch=known.epoch)

    def find(self, request, fenced=FENCED):
        """
        Return the transaction that a request is signed for, and an error code.

        :param fenced: the code for a producer that is not the newest
        """
        known = self.by_id.get(request.transactional_id)
        if known is None or known.producer_id != request.producer_id:
            return None, INVALID_MAPPING
        return known, 0 if known.epoch == request.producer_epoch else fenced

    def writes(self, name, producer_id, epoch, topic, partition, implicitly):
        """
        A batch of a transaction comes; return an error code.

        :param implicitly: whether that adds the partition to the transaction (KIP-890)
        """
        known = self.by_id.get(name)
        if known is None or known.producer_id != producer_id:
            return INVALID_MAPPING
        if known.epoch != epoch:
            return INVALID_EPOCH
        if (topic, partition) not in known.partitions:
            if not implicitly:
                return INVALID_STATE
            known.partitions.add((topic, partition))
            known.began()
        return 0

    def end_request(self, request, bumps):
        """
        Answer an EndTxn.

        :param bumps: whether the producer goes on with the next epoch (KIP-890)
        """
        known, code = self.find(request)
        signed = request.producer_epoch, request.committed
        # where its answer was lost, it comes again
        again = known is not None and not known.is_open and known.ended == signed
        if not again:
            if not code and not known.is_open and not (bumps and not request.committed):
                code = INVALID_STATE
            if code:
                return dict(error_code=code)
            if bumps:
                self._end_epoch(known, request.committed)
            else:
                self.end(known, known.producer_id, request.committed)
            known.ended = signed
        return dict(error_code=0, producer_id=known.producer_id, producer_epoch=known.epoch)

    def _end_epoch(self, known, committed):
        """End a transaction, and the producer's epoch with it."""
        producer_id = known.producer_id
        known.bump(self.next_producer_id)
        self.end(known, producer_id, committed)

    def end(self, known, producer_id, committed):
        """Write the markers of a transaction, and let its offsets count or not."""
        self.aborted += known.is_open and not committed
        for topic, partition in sorted(known.partitions):
            log = self.topics.log(topic, partition)
            if log is not None:
                data = marker(producer_id, known.epoch, committed)
                log.end_transaction(producer_id, known.epoch, committed, data)
        for group in known.groups:
            self.groups.end_transaction(group, producer_id, committed)
        known.partitions, known.groups, known.deadline = set(), set(), None
        self.written.happen()

    def tick(self, now):
        """Abort what takes longer than its producer said."""
        for known in self.by_id.values():
            if known.deadline is not None and known.deadline <= now:
                self._end_epoch(known, False)
                known.ended = None
