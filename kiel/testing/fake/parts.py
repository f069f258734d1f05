"""Answers as plain dicts and lists, made into the protocol's own parts."""
from __future__ import absolute_import


def build(cls, fields):
    """
    Return an instance of a part, with whatever is inside it.

    :param fields: a dict of its fields; parts in it are dicts too
    """
    kinds = dict((part[0], part[1]) for part in cls.parts)
    made = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            value = build(kinds[name], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            value = [build(kinds[name].item_class, item) for item in value]
        made[name] = value
    return cls(**made)
