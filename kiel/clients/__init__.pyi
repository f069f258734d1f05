from kiel.clients.admin import Admin as Admin
from kiel.clients.consuming.record import Record as Record
from kiel.clients.grouped import GroupedConsumer as GroupedConsumer
from kiel.clients.producer import Producer as Producer
from kiel.clients.producing.delivery import Delivery as Delivery, RecordMetadata as RecordMetadata
from kiel.clients.single import SingleConsumer as SingleConsumer

BEGINNING: int
END: int

__all__ = [
    "Admin", "BEGINNING", "Delivery", "END", "GroupedConsumer", "Producer", "Record", "RecordMetadata",
    "SingleConsumer",
]
