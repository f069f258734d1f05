"""What clients tell their hooks, made only where somebody listens: see `kiel.hooks`."""
from __future__ import absolute_import

from kiel import exc
from kiel.hooks import Handed
from kiel.retry import monotonic


def failed(hooks, error, key=None):
    """
    Tell of an error that is seen to.

    :param key: what failed; a topic and a partition are told of
    """
    topic, partition = key if isinstance(key, tuple) and len(key) == 2 else (None, None)
    hooks.tell("error", error=error, cure=getattr(error, "cure", None), topic=topic, partition=partition,
               retriable=bool(getattr(error, "retriable", False)))


# -- producing --

def batch_ended(hooks, batch, options, leaders, error, offset):
    """Tell of a batch that is about to be done."""
    records, seconds = len(batch), monotonic() - batch.opened
    if error is not None:
        hooks.tell("batch_failed", topic=batch.topic, partition=batch.partition, records=records,
                   attempts=batch.attempts, error=error, seconds=seconds)
        failed(hooks, error, (batch.topic, batch.partition))
    elif hooks.wants("batch_written"):
        hooks.pass_on("batch_written", {
            "topic": batch.topic, "partition": batch.partition, "records": records,
            "broker_id": leaders.get(batch.topic, {}).get(batch.partition), "bytes": batch.records.encoded,
            "compressed": sum(map(len, batch.data)), "attempts": batch.attempts, "offset": offset, "seconds": seconds,
            "queued": batch.left - batch.opened,
            "fill": min(1.0, batch.records.encoded / float(options.batch_limit)),
        })


def batch_retried(hooks, batch, error):
    """Tell of a batch that is sent again."""
    hooks.tell("batch_retried", topic=batch.topic, partition=batch.partition, records=len(batch),
               attempts=batch.attempts, error=error)
    failed(hooks, error, (batch.topic, batch.partition))


# -- consuming --

def fetch_answered(hooks, broker_id, response, fetch):
    """Tell of the answer to a `kiel.clients.consuming.fetch.Fetch`."""
    if hooks.wants("fetch_answered"):
        parts = [part for topic in response.topics for part in topic.partitions]
        sizes = [part.message_set.size for part in parts]
        hooks.tell(
            "fetch_answered", broker_id=broker_id, bytes=sum(sizes), asked=len(fetch.cursors),
            partitions=sum(size > 0 for size in sizes), errors=sum(part.error_code != 0 for part in parts),
            seconds=monotonic() - fetch.sent
        )


def handed_out(hooks, call, messages):
    """Tell of what a `kiel.clients.consuming.call.Call` is about to return."""
    seen, call.seen = call.seen, None
    if not messages:
        if not call.held:
            hooks.tell("nothing_handed_out", topic=call.topic, seconds=monotonic() - call.begun)
        return
    if seen is None or not hooks.wants("records_handed_out"):
        return
    begun = dict((cursor, offset) for cursor, generation, offset in call.taken if cursor.generation == generation)
    hooks.tell(
        "records_handed_out", topic=call.topic, records=len(messages), messages=messages, ahead=call.held,
        seconds=monotonic() - call.begun,
        partitions=dict((cursor.partition, _handed(cursor, begun[cursor], batches)) for cursor, _, batches in seen
                        if cursor in begun and cursor.handed > begun[cursor])
    )


def _handed(cursor, begun, batches):
    """Return the `kiel.hooks.Handed` of one partition."""
    read = [batch for batch in batches if batch.base_offset < cursor.handed]
    return Handed(int(begun), int(cursor.handed), getattr(read[-1], "max_timestamp", -1) if read else -1)


# -- groups --

def committed(hooks, group, offsets, outcome, seconds=0.0):
    """
    Tell of a commit.

    :param outcome: key -> `kiel.exc.KielError`, or what is true where the offset is committed
    """
    hooks.tell(
        "committed", group=group, seconds=seconds,
        offsets=dict((key, int(offsets[key])) for key, value in outcome.items()
                     if value and not isinstance(value, exc.KielError)),
        errors=dict((key, value) for key, value in outcome.items() if isinstance(value, exc.KielError))
    )


class Change(object):
    """
    One change of a member's partitions.

    :param hooks: the client's `kiel.hooks.Hooks`; None where nobody listens
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`
    """

    def __init__(self, hooks, assignment, revoked=None, assigned=None, lost=None):
        self._hooks = hooks
        self._assignment = assignment
        self._moved = dict(revoked=_plain(revoked), assigned=_plain(assigned))
        self._lost = lost
        self._begun = monotonic()
        if hooks is not None and lost is None:
            self._tell("rebalance_begun")

    def ended(self):
        """The change is over."""
        if self._hooks is not None:
            seconds = 0.0 if self._lost is not None else monotonic() - self._begun
            self._tell("rebalance_ended", lost=_plain(self._lost), seconds=seconds)

    def _tell(self, name, **more):
        member, generation = self._assignment.allocator.identity
        more.update(self._moved)
        self._hooks.tell(name, group=self._assignment.group, member=member, generation=generation, **more)


def _plain(topics):
    """Return topic -> partition ids as a dict of lists."""
    return dict((topic, sorted(ids)) for topic, ids in (topics or {}).items() if ids)
