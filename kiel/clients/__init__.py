"""The clients: a producer, a consumer of whole topics, one that shares them with its group, and a look at groups."""
from __future__ import absolute_import

from kiel.clients.admin import Admin
from kiel.clients.consuming.offset_lookup import BEGINNING, END
from kiel.clients.consuming.record import Record
from kiel.clients.grouped import GroupedConsumer
from kiel.clients.producer import Producer
from kiel.clients.producing.delivery import Delivery, RecordMetadata
from kiel.clients.single import SingleConsumer

__all__ = [
    "Admin", "BEGINNING", "Delivery", "END", "GroupedConsumer", "Producer", "Record", "RecordMetadata",
    "SingleConsumer",
]
