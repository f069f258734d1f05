"""ZooKeeper as a group's meeting place: recipes on kazoo, and the allocator that runs them off the IOLoop."""
from __future__ import absolute_import

from .party import Party
from .shared_set import SharedSet


__all__ = ["Party", "SharedSet"]
