"""A member's way into its group, and out of it."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel.clients import finding

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.grouped")


class Joining(object):
    """
    Has a member join its group and leave it, and begin anew where its IOLoop was closed or its process forked.

    :param client: the `kiel.clients.grouped.GroupedConsumer`: its name, whether it was closed meanwhile, and its
        `determine_coordinator`, which a subclass may override
    :param protocol: the `kiel.clients.grouping.group_protocol.GroupProtocol`, which makes the allocator
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`, which goes by that
    :param subscription: the member's `kiel.clients.grouping.subscription.Subscription`
    """

    def __init__(self, client, protocol, assignment, subscription):
        self._client = client
        self._protocol = protocol
        self._assignment = assignment
        self._subscription = subscription
        #: what was owned on a loop that is closed, or before a fork, and was not told of as lost yet
        self._abandoned = {}
        #: topic -> the error of the allocator that was raised last
        self._raised = {}
        self._prepare()

    def _prepare(self):
        """Take the allocator to join by, where that is known before joining."""
        allocator = self._protocol.allocator()
        if allocator is not None:
            self._assignment.allocator = allocator

    # -- in --

    @gen.coroutine
    def join(self):
        """
        Join the group, which the cluster is known for; a member that is in already stays in.

        Where that fails, the member is out.
        """
        abandoned, self._abandoned = self._abandoned, {}
        yield self._assignment.tell_lost(abandoned)
        yield finding.reach(self._client.cluster)
        if self._subscription.following:
            return  # it was connected before
        self._assignment.closing = False
        try:
            if self._protocol.zk_hosts:
                self._obey(self._assignment.allocator)
                yield self._start()
                self.note_name()
                yield self._client.determine_coordinator()
            else:
                yield self._protocol.choice.join(self._obey, self._start)
            self._client._check_open()
        except Exception:
            self._subscription.stop()
            yield self._assignment.allocator.stop()
            raise
        log.info("Group %s: %s is connected", self._assignment.group, self._client.name,
                 extra=self._assignment.fields())

    def fall_back(self, error):
        """The group turned out to be a classic one that the broker does not upgrade; return a Future."""
        return self._protocol.choice.fall_back(self._assignment.allocator, error, self._obey, self._start)

    def _obey(self, allocator):
        """Go by an allocator from now on."""
        self._client._check_open()
        self._assignment.obey(allocator)

    def _start(self):
        """Have the allocator join; return a Future."""
        return self._subscription.join(self._client.max_wait_time / 1000.0)

    @gen.coroutine
    def raise_refusal(self, topic):
        """
        Raise what ended the membership; what may pass is raised once for each topic, and the call after it tries again.

        :raises kiel.exc.KielError: that
        """
        allocator = self._assignment.allocator
        error = allocator.error
        if error is None or topic in self._subscription.pending:
            return
        if allocator.refused and self._raised.get(topic) is error:
            return
        self._raised[topic] = error
        yield gen.moment  # a loop that goes on in spite of it must not keep others from their turn
        raise error

    # -- the member's name --

    def take_name(self, name):
        """Go by another name: the process was forked, and the parent has the one there was."""
        self._client.name = name
        if self._protocol.zk_hosts:
            self._assignment.allocator.consumer_name = name

    def note_name(self):
        """The allocator took another name where this one's was taken."""
        self._client.name = getattr(self._assignment.allocator, "consumer_name", self._client.name)

    # -- out --

    def begin_leaving(self):
        """The member is about to leave: partitions go without a commit of their own, topics are followed no more."""
        self._assignment.closing = True
        self._subscription.stop()

    @gen.coroutine
    def leave(self):
        """Leave the group."""
        try:
            yield self._assignment.allocator.stop()
        finally:
            self._assignment.progress.clear()
            self._assignment.clear()

    def leave_now(self):
        """Leave the group where no IOLoop runs, see `kiel.allocation.Allocator.leave_now`."""
        self._assignment.allocator.leave_now()

    def begin_anew(self, name):
        """
        Be another member: this one's membership is the parent's, or was left when its loop was closed.

        :param name: that of the new member
        """
        self._subscription.abandon()
        self._raised.clear()
        self._client.name = name
        self._abandoned = self._assignment.abandon()
        self._prepare()
