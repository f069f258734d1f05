"""What one member claims and holds: the life of each partition, as a table."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import allocation, events, retry


log = logging.getLogger(__name__)

FREE, WINNING, WAITING, HELD, RELEASING = "free", "winning", "waiting", "held", "releasing"

TRANSITIONS = {
    FREE: {"wanted": WINNING},
    # asked for; the answer is on its way. It stays so until there is one: a node made unawares must not be
    # forgotten
    WINNING: {"won": HELD, "won_unwanted": RELEASING, "taken": WAITING, "lost": FREE},
    # another member holds it; a watch tells when it may be free
    WAITING: {"freed": FREE, "unwanted": FREE, "lost": FREE},
    # the only state in which a partition is in the allocation
    HELD: {"unwanted": RELEASING, "lost": RELEASING},
    # its user winds down (`on_change`), then the node goes. After a lost session there is no node, the user
    # still has to be done before the partition comes again
    RELEASING: {"released": FREE, "lost": RELEASING},
}


class Claims(object):
    """
    Brings what this member holds nearer to what it should have, one partition at a time; lives on the IOLoop.

    :param changed: called with (revoked, assigned), each topic -> ids, after `held` changed; returns a
        Future, for which a revoked partition's node is kept
    :param timeout: seconds that a round trip to ZooKeeper may take before it is tried again
    :param release_timeout: seconds that the Future of ``changed`` may take
    """

    def __init__(self, changed, timeout=10.0, release_timeout=60.0):
        self.changed = changed
        self.timeout = timeout
        self.release_timeout = release_timeout
        #: the items that the allocation function gives this member
        self.wanted = set()
        #: item -> state; FREE ones are left out
        self.states = {}
        self._allocation = None
        self._freed = set()
        self._session = None
        self._owners = None

    @property
    def held(self):
        """The items whose owner znode this member has, without those that it is giving up."""
        return set(item for item, state in self.states.items() if state == HELD)

    @property
    def allocation(self):
        """`held` as topic -> sorted ids; made anew when it changes only, since every `consume` looks."""
        if self._allocation is None:
            self._allocation = allocation.Partitions(allocation.group(self.held))
        return self._allocation

    def open(self, session, owners):
        """A session is there: claims are made through ``owners`` from now on."""
        self._session, self._owners = session, owners

    def lose(self):
        """The session is gone, with all that was held. Return a Future that is done when the users have wound down."""
        self._session = self._owners = None
        self.wanted = set()
        self._freed.clear()
        dropped = self.held
        self._move(set(self.states), "lost")
        return self._release(dropped)

    def want(self, items):
        """
        Set what this member should hold; return a Future that is done when each has been tried once.

        What is no longer wanted is out of `held` at once.
        """
        self.wanted = set(items)
        return self._turn()

    def freed(self, item):
        """An item held by another may be free now; called on the loop after `Owners` said so."""
        state = self.states.get(item)
        if state == WAITING:
            self._move([item], "freed")
            self._turn()
        elif state == WINNING:
            # the watch overtook the answer that it belongs to
            self._freed.add(item)

    def _turn(self):
        """Begin what is due after a change; the only place where work is begun."""
        if self._owners is None:
            return gen.maybe_future(None)
        waiting = set(item for item, state in self.states.items() if state == WAITING)
        self._move(waiting - self.wanted, "unwanted")
        leaving = self.held - self.wanted
        self._move(leaving, "unwanted")
        coming = self.wanted - set(self.states)
        self._move(coming, "wanted")
        return gen.multi([self._release(leaving), self._win(coming)])

    @gen.coroutine
    def _win(self, items):
        """Try to take the items, again and again while ZooKeeper does not answer."""
        if not items:
            return
        owners = self._owners
        won = yield self._insist(owners.claim, items)
        if owners is not self._owners:
            # the session went meanwhile, its nodes with it, and `lose` has moved the items on
            return
        taken = items - won
        useless = won - self.wanted
        self._move(won - useless, "won")
        self._move(useless, "won_unwanted")
        self._move(taken, "taken")
        for item in self._freed & taken:
            self._move([item], "freed")
        self._freed -= items
        # state first, then those who are told
        self.changed({}, allocation.group(won - useless))
        self._dispose(useless)
        self._turn()

    @gen.coroutine
    def _release(self, items):
        """Tell the user, wait for it, then delete the znodes; the items are RELEASING already."""
        if not items:
            return
        told = self.changed(allocation.group(items), {})
        try:
            yield events.within(self.release_timeout, told)
        except gen.TimeoutError:
            log.warning("%s: on_rebalance did not finish within %s s; the partitions are released anyway",
                        sorted(items), self.release_timeout)
        yield self._dispose(items)

    @gen.coroutine
    def _dispose(self, items):
        """Delete the nodes of items that are RELEASING, if their session still lasts."""
        if not items:
            return
        if self._owners is not None:
            yield self._insist(self._owners.release, items)
        self._move(items, "released")
        self._turn()

    @gen.coroutine
    def _insist(self, recipe, items):
        """Run a recipe of `Owners` until there is an answer; return that, or an empty set when the session is over."""
        session, owners = self._session, self._owners
        clock = retry.Backoff(deadline=None).start()
        while owners is self._owners:
            try:
                result = yield session.run(self.timeout, recipe, items)
            except Exception as error:
                if owners is not self._owners:
                    break
                log.warning("Writing the owner znodes of %s failed, will try again: %s",
                            sorted(items), str(error) or type(error).__name__)
                yield gen.sleep(clock.delay())
            else:
                raise gen.Return(result)
        raise gen.Return(set())

    def _move(self, items, event):
        """Take each item one step along the table."""
        self._allocation = None
        for item in items:
            state = TRANSITIONS[self.states.get(item, FREE)][event]
            if state == FREE:
                self.states.pop(item, None)
            else:
                self.states[item] = state
