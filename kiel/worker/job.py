"""One message, from being taken to being done with."""
from __future__ import absolute_import

#: the states of a `Job`
WAITING, AT_WORK, RESTING, BURYING, DONE, GIVEN_BACK = (
    "waiting", "at work", "resting", "burying", "done", "given back")

#: state -> the states that may follow
TRANSITIONS = {
    # it is its turn | its partition goes, or the worker drains
    WAITING: (AT_WORK, GIVEN_BACK),
    # the handler ended well | failed: again, later | failed for good | the partition went
    AT_WORK: (DONE, RESTING, BURYING, GIVEN_BACK),
    # the pause between two attempts is over | as above
    RESTING: (WAITING, GIVEN_BACK),
    # the dead letters have it | the partition went
    BURYING: (DONE, GIVEN_BACK),
    # its offset may be committed
    DONE: (),
    # its offset is not committed: its partition's next owner gets it
    GIVEN_BACK: (),
}


class Job(object):
    """
    A message and what has become of it.

    :param record: the `kiel.clients.Record`, its value the raw bytes
    :param part: the `kiel.worker.part.Part` that it was taken of
    :param lane: what no two messages of may be at work at once; None for a message without such a bond
    """

    __slots__ = ("record", "part", "lane", "offset", "size", "state", "attempts", "clock", "begun", "attempt", "timer",
                 "outputs")

    def __init__(self, record, part, lane):
        self.record = record
        self.part = part
        self.lane = lane
        self.offset = record.offset
        self.size = len(record.value or b"") + len(record.key or b"")
        self.state = WAITING
        #: how many times its handler was called
        self.attempts = 0
        #: the `kiel.retry.Clock` of its attempts; None before the first has failed
        self.clock = None
        #: when its first attempt began (`kiel.retry.monotonic`)
        self.begun = None
        #: the `kiel.worker.handler.Attempt` under way, and the loop's timer of the next
        self.attempt = None
        self.timer = None
        #: what is to be produced for it: a list of `kiel.worker.output.Output`, or None for nothing
        self.outputs = None

    @property
    def busy(self):
        """Whether something is under way that has to end before its partition may go."""
        return self.state in (AT_WORK, BURYING)

    def become(self, state):
        """Change the state, as `TRANSITIONS` allows."""
        if state not in TRANSITIONS[self.state]:
            raise AssertionError("a message that is %s can't become one that is %s" % (self.state, state))
        self.state = state
        if state in (DONE, GIVEN_BACK):
            self.record = None  # it may wait here for a long time, until those before it are done
