"""A listener that writes down what it is told, and holds it against the table."""
from __future__ import absolute_import

from kiel import hooks


class Diary(object):
    """Has every method of `kiel.hooks.METHODS`; ``events`` are all that it was told, oldest first."""

    def __init__(self):
        self.events = []

    def __getattr__(self, name):
        if name not in hooks.METHODS:
            raise AttributeError(name)
        return self._note

    def _note(self, event):
        fields = set(field for field, _ in hooks.METHODS[event.name][1])
        assert fields == set(vars(event)) - {"name", "client"}, event
        self.events.append(event)

    def of(self, name, **wanted):
        """The events of a method whose attributes are these."""
        return [event for event in self.events if event.name == name
                and all(getattr(event, field) == value for field, value in wanted.items())]
