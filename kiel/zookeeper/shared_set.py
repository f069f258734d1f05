"""A set of strings that all members of a group see and may change."""
from __future__ import absolute_import

import json
import logging
import re

from kazoo import exceptions
import six


log = logging.getLogger(__name__)

#: what an entry of the set looks like; a slash would be another znode
ITEM = re.compile(r"[^/]+:[0-9]+\Z")


class SharedSet(object):
    """
    A set of strings kept as a JSON array in one znode, changed under a lock.

    Blocks its callers, as kazoo does; never call it on an IOLoop's thread.

    :param client: a started `kazoo.client.KazooClient`
    :param path: the znode
    :param on_change: called with the set at the start and after each change, or with ``None`` when there is
        no such node, on a thread of kazoo's
    :param lock_timeout: seconds to wait for the lock, then `kazoo.exceptions.LockTimeout`; ``None`` for no
        limit
    """

    def __init__(self, client, path, on_change, lock_timeout=None):
        self.client = client
        self.path = path
        self.on_change = on_change
        self.lock_timeout = lock_timeout

    @property
    def lock_path(self):
        """The znode whose children contend for the right to change the set."""
        return self.path + "/lock"

    def start(self):
        """Begin to watch the set."""
        self.client.ensure_path(self.path)

        @self.client.DataWatch(self.path)
        def on_data(data, stat):
            # returns None: False would end the watch, and so would an exception
            try:
                items = None if stat is None else self.deserialize(data)
            except ValueError:
                log.error("%s does not hold a JSON array of strings and is ignored: %r", self.path, data)
                return
            self.on_change(items)

    def add_items(self, new_items):
        """Add the items that are not in yet; without any, neither locks nor writes."""
        return self.alter(lambda items: items | set(new_items))

    def remove_items(self, old_items):
        """Remove the items that are in; without any, neither locks nor writes."""
        return self.alter(lambda items: items - set(old_items))

    def alter(self, change):
        """
        Put ``change(items)`` in the place of the set and return what is there then.

        Looks first without the lock: the usual member brings nothing new, and should not wait for one that
        holds it.
        """
        items, _ = self._read()
        if items is not None and change(items) == items:
            return items

        lock = self.client.Lock(self.lock_path)
        if not lock.acquire(timeout=self.lock_timeout):
            raise exceptions.LockTimeout(
                "%s is locked by another member, not free within %s s" % (self.lock_path, self.lock_timeout)
            )
        try:
            return self._alter_locked(change)
        finally:
            lock.release()

    def _alter_locked(self, change):
        """Read, change and write; again if somebody wrote in between, as when the lock was lost unnoticed."""
        while True:
            items, version = self._read()
            altered = change(items or set())
            if altered == items:
                return items
            try:
                if items is None:
                    self.client.create(self.path, self.serialize(altered), makepath=True)
                else:
                    self.client.set(self.path, self.serialize(altered), version=version)
                return altered
            except (exceptions.BadVersionError, exceptions.NodeExistsError, exceptions.NoNodeError):
                continue

    def _read(self):
        """Return the set and its version: (None, None) without a znode; what is no set counts as an empty one."""
        try:
            data, stat = self.client.get(self.path)
        except exceptions.NoNodeError:
            return None, None
        try:
            return self.deserialize(data), stat.version
        except ValueError:
            log.error("%s does not hold a JSON array of strings and will be overwritten: %r", self.path, data)
            return set(), stat.version

    def serialize(self, data):
        """Return the bytes of a set, as every member since kiel 0.9 reads them."""
        return json.dumps(sorted(data)).encode("utf-8")

    def deserialize(self, data):
        """Return the set that the bytes stand for; no bytes are the empty set; ``ValueError`` for anything else."""
        if not data:
            return set()
        items = json.loads(data.decode("utf-8"))
        if not isinstance(items, list):
            raise ValueError("not an array: %r" % (items,))
        return set(item for item in items if valid(item))


def valid(item):
    """Return whether an entry reads ``topic:partition``; a bad one must not stop every member's allocation."""
    if isinstance(item, six.string_types) and ITEM.match(item):
        return True
    log.error("Ignored in the set of partitions, not of the form topic:partition: %r", item)
    return False
