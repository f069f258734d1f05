"""`Record` by its older import path, which pickles know; it is exported by `kiel.clients` too."""
from __future__ import absolute_import

from kiel.clients.consuming.record import Record

__all__ = ["Record"]
