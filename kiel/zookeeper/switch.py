"""Znodes by which a group that meets in ZooKeeper moves to Kafka; members of kiel 0.9 neither see nor make them."""
from __future__ import absolute_import

from kazoo import exceptions

#: data of the znode that says that a group moves: members give up what they have here; all may join in Kafka
CLOSING, OPEN = b"closing", b"open"

#: kinds of marks: a member that is able to move; one that holds nothing here any more
READY, RELEASED = "ready", "released"


class Switch(object):
    """
    The persistent znode ``switched`` of a group: not there, `CLOSING`, or `OPEN`.

    Blocks its callers, as kazoo does; never call it on an IOLoop's thread.

    :param client: a started `kazoo.client.KazooClient`
    :param group_path: the group's own znode
    :param on_switch: called with its data, None while it is not there, at the start and after each change, on a thread
        of kazoo's
    """

    def __init__(self, client, group_path, on_switch):
        self.client = client
        self.path = group_path + "/switched"
        self.on_switch = on_switch

    def start(self):
        """Begin to watch."""
        @self.client.DataWatch(self.path)
        def on_data(data, stat):
            # returns None: False would end the watch
            self.on_switch(None if stat is None else data)

    def close(self):
        """Make the znode: members are to give up what they have in ZooKeeper."""
        try:
            self.client.create(self.path, CLOSING)
        except exceptions.NodeExistsError:
            pass

    def open(self):
        """Let the members join in Kafka; from here on there is no way back for a live group."""
        self.client.set(self.path, OPEN)

    def undo(self):
        """Remove the znode unless the group is open; the members go on in ZooKeeper."""
        try:
            data, stat = self.client.get(self.path)
            if data != OPEN:
                self.client.delete(self.path, version=stat.version)
        except (exceptions.NoNodeError, exceptions.BadVersionError):
            pass


class Marks(object):
    """
    An ephemeral znode for each member and kind of mark: what the live members of a group have to say of the move.

    Blocks its callers, as kazoo does; never call it on an IOLoop's thread.

    :param client: a started `kazoo.client.KazooClient`
    :param member_name: this member
    :param group_path: the group's own znode
    :param on_marks: called with a kind and the set of names that have it, at the start and after each change, on a
        thread of kazoo's
    """

    def __init__(self, client, member_name, group_path, on_marks):
        self.client = client
        self.member_name = member_name
        self.group_path = group_path
        self.on_marks = on_marks

    def path_of(self, kind):
        """Return the znode whose children are the marks of a kind."""
        return "%s/handover/%s" % (self.group_path, kind)

    def start(self):
        """Begin to watch, and mark this member as ready."""
        for kind in READY, RELEASED:
            self.client.ensure_path(self.path_of(kind))
            self._watch(kind)
        self.add(READY)

    def _watch(self, kind):
        @self.client.ChildrenWatch(self.path_of(kind))
        def on_children(names):
            # returns None: False would end the watch
            self.on_marks(kind, set(names))

    def add(self, kind):
        """Mark this member; what an earlier session of its name left behind goes."""
        path = "%s/%s" % (self.path_of(kind), self.member_name)
        while True:
            try:
                self.client.create(path, ephemeral=True)
                return
            except exceptions.NodeExistsError:
                stat = self.client.exists(path)
            if stat is not None:
                if stat.owner_session_id == self.client.client_id[0]:
                    return
                self._delete(path)

    def remove(self, kind):
        """Take this member's mark away, if there is one."""
        self._delete("%s/%s" % (self.path_of(kind), self.member_name))

    def _delete(self, path):
        """Delete a znode that may be gone already."""
        try:
            self.client.delete(path)
        except exceptions.NoNodeError:
            pass

    def strangers(self, members_path):
        """Return the names in the group that are not marked as ready, asked now."""
        members = self.client.get_children(members_path)
        return set(members).difference(self.client.get_children(self.path_of(READY)))

    def unreleased(self):
        """Return the names that are marked as ready, and may hold something still, asked now."""
        ready = self.client.get_children(self.path_of(READY))
        return set(ready).difference(self.client.get_children(self.path_of(RELEASED)))
