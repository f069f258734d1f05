"""Owner znodes: the proof that a member of the new kind has a partition to itself."""
from __future__ import absolute_import

import logging

from kazoo import exceptions


log = logging.getLogger(__name__)


class Owners(object):
    """
    An ephemeral znode per partition, held by its one owner; members of kiel 0.9 neither see nor hold them.

    Blocks its callers, as kazoo does; never call it on an IOLoop's thread.

    :param client: a started `kazoo.client.KazooClient`
    :param member_name: written into the nodes, for people who look
    :param path: the parent znode
    :param on_free: called with an item that `claim` did not get once it may be free, on a thread of kazoo's
    """

    def __init__(self, client, member_name, path, on_free):
        self.client = client
        self.member_name = member_name
        self.path = path
        self.on_free = on_free

    def start(self):
        """Make the parent znode."""
        self.client.ensure_path(self.path)

    def claim(self, items):
        """
        Try to take each item and return the set of those that this member's session now holds.

        For the others `on_free` will be called, once each. All requests go out before the first answer is
        read.
        """
        won = set()
        data = self.member_name.encode("utf-8")
        asked = [
            (item, self.client.create_async(self._path_of(item), data, ephemeral=True))
            for item in sorted(items)
        ]
        for item, answer in asked:
            try:
                answer.get()
            except exceptions.NodeExistsError:
                if not self._watch(item):
                    continue
            won.add(item)
        return won

    def release(self, items):
        """
        Give the items up; what this member's session does not hold is left alone.

        Looking first matters after a lost answer: the node may be gone, and may already be the next owner's.
        """
        mine = self.client.client_id and self.client.client_id[0]
        looked = [(item, self.client.exists_async(self._path_of(item))) for item in sorted(items)]
        asked = []
        for item, answer in looked:
            stat = answer.get()
            if stat is not None and stat.owner_session_id == mine:
                asked.append(self.client.delete_async(self._path_of(item)))
        for answer in asked:
            try:
                answer.get()
            except exceptions.NoNodeError:
                pass

    def _watch(self, item):
        """Watch an item that another holds; return True if it is this session's own (an answer got lost)."""
        def on_event(event):
            # comes once: the znode went or changed, or the connection was lost; another try is due
            self.on_free(item)

        stat = self.client.exists(self._path_of(item), watch=on_event)
        if stat is None:
            # gone already; the watch may fire once more when somebody makes the node, which only costs a try
            self.on_free(item)
            return False
        return stat.owner_session_id == self.client.client_id[0]

    def _path_of(self, item):
        """Return the path of a partition's znode."""
        return self.path + "/" + item
