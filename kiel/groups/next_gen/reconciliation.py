"""From what a next-generation member owns to what its coordinator wants it to own: KIP-848 calls it reconciliation."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.allocation import log_change
from kiel.fields import of_member
from kiel.groups.next_gen.coordinator_client import PATIENCE
from kiel.groups.next_gen.states import INSIDE, RECONCILING

# these lines are the member's, whose logger applications may have set up
log = logging.getLogger("kiel.groups.next_gen.member")


class Reconciliation(object):
    """
    Has a member give up what is not to be its own, tell the coordinator, and then take over what is new.

    :param member: the `kiel.groups.next_gen.member.ConsumerAllocator`: its state, and its hooks
    :param coordinator_client: its `kiel.groups.next_gen.coordinator_client.NextGenCoordinatorClient`
    """

    def __init__(self, member, coordinator_client):
        self._member = member
        self._coordinator_client = coordinator_client
        self._assignment = coordinator_client.assignment
        self._cluster = coordinator_client.coordinator.cluster
        self._log = of_member(log, member.settings, member)
        #: the Future of `_reconcile`; None while it does not run
        self.under_way = None
        #: whether `_resolve_names` runs
        self._resolving = False

    def check(self):
        """Check whether there is something to give up or to take over."""
        member, assignment = self._member, self._assignment
        if member.state not in INSIDE:
            return
        assignment.learn(self._cluster.topic_ids)
        if assignment.nameless and not self._resolving:
            self._resolving = True
            member.spawn(self._resolve_names())
        if not assignment.reached:
            member.event("assigned")
            if self.under_way is None:
                self.under_way = self._reconcile()
                member.spawn(self.under_way)

    @gen.coroutine
    def _resolve_names(self):
        """Refresh the metadata until every topic that the member is to have has a name."""
        clock = PATIENCE.start()
        try:
            while self._member.state in INSIDE and self._assignment.nameless:
                try:
                    yield self._cluster.heal()
                except exc.KielError as error:
                    self._log.info("Group %s: the names of newly assigned topics are not known yet: %s",
                                   self._member.group, error)
                self.check()
                yield gen.sleep(clock.delay())
        finally:
            self._resolving = False

    @gen.coroutine
    def _reconcile(self):
        """Give up what is not to be ours, tell the coordinator, take over what is new; until all is done."""
        yield gen.moment  # `under_way` is set before anything changes
        member, assignment = self._member, self._assignment
        try:
            while member.state == RECONCILING and not assignment.reached:
                life, revoked, assigned = assignment.life, assignment.revoked, assignment.assigned
                if revoked:
                    assignment.revoking, assigned = revoked, {}
                else:
                    assignment.take(assigned)
                member.allocation = assignment.allocation
                revoked, assigned = assignment.by_name(revoked), assignment.by_name(assigned)
                log_change(member.group, revoked, assigned, member.identity)
                yield member.tell(member.changed(revoked, assigned), "on_change")
                if life is assignment.life:
                    assignment.release()
                    if member.state == RECONCILING:
                        self._coordinator_client.say()
        finally:
            self.under_way = None
        # with partitions lost and the member in again meanwhile, `reached` may have to wait for the next answer
        if member.state == RECONCILING:
            member.event("settled" if self._coordinator_client.up_to_date else "reconciled")
            self.check()
            member.resolve_waiters()
