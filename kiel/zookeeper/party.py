"""The members of a group, each an ephemeral znode."""
from __future__ import absolute_import

import logging
import random

from kazoo import exceptions


log = logging.getLogger(__name__)

#: so many names are tried before a join gives up; two are enough unless somebody is playing tricks
MAX_NAMES = 20


class Party(object):
    """
    The members of a group: who is in is known to all, and who goes away or dies is out.

    Blocks its callers, as kazoo does; never call it on an IOLoop's thread.

    :param client: a started `kazoo.client.KazooClient`
    :param member_name: the name to join under, ``<hostname>:<number>``; `join` may change it
    :param path: the znode whose children are the members
    :param on_change: called with the list of names at the start and after each change, on a thread of kazoo's
    """

    def __init__(self, client, member_name, path, on_change):
        self.client = client
        self.member_name = member_name
        self.path = path
        self.on_change = on_change

    @property
    def member_path(self):
        """The path of this member's own znode."""
        return self.path + "/" + self.member_name

    def start(self):
        """Begin to watch the members."""
        self.client.ensure_path(self.path)

        @self.client.ChildrenWatch(self.path)
        def on_children(children):
            # returns None: False would end the watch
            self.on_change(children)

    def join(self):
        """
        Make this member's znode and return the name that it has.

        A name that another session holds is left to it: the other may be a live member, such as a process
        forked from the same parent. `member_name` is then another one of the same host. A node of this very
        session (a join whose answer got lost) is taken as it is.
        """
        for _ in range(MAX_NAMES):
            try:
                self.client.create(self.member_path, ephemeral=True, makepath=True)
                return self.member_name
            except exceptions.NodeExistsError:
                stat = self.client.exists(self.member_path)
            if stat is None:
                # gone between the two calls: the same name is free now
                continue
            if stat.owner_session_id == self.client.client_id[0]:
                return self.member_name
            taken = self.member_name
            self.member_name = another_name(taken)
            log.warning("The name %s is taken by another session, joining as %s", taken, self.member_name)
        raise exceptions.NodeExistsError("no free member name in %s" % self.path)

    def leave(self):
        """Remove this member's znode, if there is one."""
        try:
            self.client.delete(self.member_path)
        except exceptions.NoNodeError:
            pass


def another_name(name):
    """Return a new ``<hostname>:<number>`` for the host of ``name``."""
    host = name.rsplit(":", 1)[0]
    # the system's randomness: the module's own generator has the same state in processes forked from one
    # parent
    return "%s:%d" % (host, random.SystemRandom().getrandbits(48))
