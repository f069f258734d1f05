"""`BEGINNING`, `END` and `start_to_timestamp` by their older import path; they are exported by `kiel.clients` too."""
from __future__ import absolute_import

from kiel.clients.consuming.offset_lookup import BEGINNING, END, EPOCH, start_to_timestamp

__all__ = ["BEGINNING", "END", "EPOCH", "start_to_timestamp"]
