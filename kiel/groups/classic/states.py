"""The life of a member of a classic group, as a table."""
from __future__ import absolute_import

#: no member, and not asking to be one
OUT = "out"
#: gives partitions up, before it asks for the next generation
REVOKING = "revoking"
#: has sent JoinGroup, and waits until all members have
JOINING = "joining"
#: has sent SyncGroup, or works out everybody's share before it does, and waits for its own
SYNCING = "syncing"
#: has its share, and beats
STABLE = "stable"
#: left by itself for want of progress; `kiel.groups.classic.ClassicAllocator.subscribe` brings it back
AWAY = "away"
#: ended by an error; if that may pass, `kiel.groups.classic.member.ClassicAllocator.subscribe` tries again
FAILED = "failed"
#: says leave_request
LEAVING = "leaving"

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    OUT: {"join": JOINING, "leave": LEAVING},
    REVOKING: {"join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    JOINING: {"joined": SYNCING, "join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    SYNCING: {"synced": STABLE, "join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    STABLE: {"rebalance": REVOKING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    AWAY: {"join": JOINING, "leave": LEAVING},
    FAILED: {"retry": OUT, "leave": LEAVING},
    LEAVING: {"left": OUT},
}
