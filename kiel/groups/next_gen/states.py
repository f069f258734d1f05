"""The life of a next-generation member, as a table."""
from __future__ import absolute_import

#: not in the group, and not wanting to be
OUT = "out"
#: asks to be let in, with epoch 0
JOINING = "joining"
#: has what it is to have, and the coordinator knows
STABLE = "stable"
#: gives up and takes over partitions
RECONCILING = "reconciling"
#: has said something that is not answered yet: what it owns, or topics
TELLING = "telling"
#: put out of the group; its partitions are lost
FENCED = "fenced"
#: left by itself, for want of progress
LEFT = "left"
#: refused for good
FAILED = "failed"
#: on its way out
LEAVING = "leaving"

_ENDS = {"fenced": FENCED, "went": LEFT, "failed": FAILED, "stopped": LEAVING}

#: State -> event -> the state after it; any other event in a state is a bug and raises. "told": something was said to
#: the coordinator; "answered" and "heard": it answered, to something older or to the last; "assigned": it wants other
#: partitions to be ours; "reconciled" and "settled": they are, and it has, or has not, to hear of it yet; "went": the
#: member left by itself.
TRANSITIONS = {
    OUT: {"subscribed": JOINING},
    JOINING: dict(_ENDS, told=JOINING, answered=TELLING, heard=STABLE),
    STABLE: dict(_ENDS, told=TELLING, heard=STABLE, assigned=RECONCILING),
    TELLING: dict(_ENDS, told=TELLING, answered=TELLING, heard=STABLE, assigned=RECONCILING),
    RECONCILING: dict(_ENDS, told=RECONCILING, answered=RECONCILING, heard=RECONCILING, assigned=RECONCILING,
                      reconciled=TELLING, settled=STABLE),
    FENCED: {"rejoined": JOINING, "stopped": LEAVING},
    LEFT: {"subscribed": JOINING, "stopped": LEAVING},
    FAILED: {"subscribed": JOINING, "stopped": LEAVING},
    LEAVING: {"gone": OUT},
}

#: the states in which the coordinator takes the member for one
INSIDE = (STABLE, TELLING, RECONCILING)

#: those in which it sends heartbeats
ALIVE = INSIDE + (JOINING,)
