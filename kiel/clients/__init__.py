"""The clients: a producer, a consumer of whole topics, and a consumer that shares them with its group."""
from __future__ import absolute_import

from kiel.clients.grouped import GroupedConsumer
from kiel.clients.producer import Producer
from kiel.clients.single import SingleConsumer

__all__ = ["GroupedConsumer", "Producer", "SingleConsumer"]
