"""What a caller holds of a message on its way; see `kiel.clients.producing.delivery`."""
from __future__ import absolute_import

from kiel.clients.producing.delivery import Deliveries, Delivery, RecordMetadata

__all__ = ["Deliveries", "Delivery", "RecordMetadata"]
