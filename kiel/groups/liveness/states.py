"""The life of a member's heartbeat as a table, and what its two threads know together."""
from __future__ import absolute_import

import threading

from kiel.retry import monotonic

#: nothing is sent: it was not started yet, or the last answer is one after which only the application can go on
IDLE = "idle"
#: sends one request after the other
BEATING = "beating"
#: for want of progress, or since nobody is there any more, the request that leaves the group is due or on its way:
#: nothing may be handed out or committed from here on
LEAVING = "leaving"
#: the member is out of the group
LEFT = "left"

#: state -> event -> the state after it; any other event in a state is a bug and raises. "start" and "say": the
#: application gave a request to send; "end": nothing follows upon the last answer; "leave": there is a request that
#: leaves; "gone": it was answered, or there is none
TRANSITIONS = {
    IDLE: {"start": BEATING, "say": BEATING, "end": IDLE, "gone": LEFT},
    BEATING: {"start": BEATING, "say": BEATING, "end": IDLE, "leave": LEAVING, "gone": LEFT},
    LEAVING: {"start": BEATING, "say": LEAVING, "end": LEAVING, "gone": LEFT},
    LEFT: {"start": BEATING, "say": LEFT, "end": LEFT, "gone": LEFT},
}


class Liveness(object):
    """
    What the application's thread and the heartbeat thread both read and change.

    :param interval: seconds from one heartbeat to the next
    """

    def __init__(self, interval):
        #: held while `state` and `term` change together, so that a member never starts and leaves at the same time
        self.lock = threading.Lock()
        #: one of `TRANSITIONS`; changed by `change` and `start` only
        self.state = IDLE
        #: number of the last `start`; what belongs to an older one counts no more
        self.term = 0
        #: seconds from one heartbeat to the next; set by the application's thread
        self.interval = interval
        #: `monotonic` time of the last answer that took the member for alive; None before the first
        self.last_beat = None
        #: `monotonic` time at which the application asked for more; set by its thread
        self.last_progress = monotonic()
        #: whether the application has messages at work, so that it has to call `consume` next; set by its thread
        self.working = False

    @property
    def left(self):
        """Whether the member is leaving by itself, or has left: nothing may be handed out or committed."""
        return self.state in (LEAVING, LEFT)

    def start(self):
        """Begin a new term; return its number."""
        with self.lock:
            self.term += 1
            self.state = TRANSITIONS[self.state]["start"]
            self.last_progress = monotonic()
            return self.term

    def change(self, event, term=None, condition=None):
        """
        Take one step along the table; return whether that was done.

        :param term: the term that the event belongs to; one of an older term is dropped
        :param condition: a function that is asked while the lock is held; the event is dropped if it returns False
        """
        with self.lock:
            if term is not None and term != self.term:
                return False
            if condition is not None and not condition():
                return False
            self.state = TRANSITIONS[self.state][event]
            return True
