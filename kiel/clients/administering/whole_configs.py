"""
All settings of a resource at once, which is how brokers from 0.11 to 2.2 are told of a change to one of them.

AlterConfigs replaces what a resource has: what is not named goes back to its default. So all that it has is read,
changed, and written back. Nothing keeps others from changing it in between:

1. this client reads ``{a: 1}``;
2. another one sets b to 2;
3. this client writes ``{a: 1, c: 3}``, and b is gone.

There is no cure on those brokers; with 2.3 came a request that names single settings.
"""
from __future__ import absolute_import

from kiel import exc

#: what can be done to a setting, as numbers on the wire: set, delete, append, subtract
OPERATIONS = SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3

#: what these brokers change settings of: topics, and from 1.1 on brokers
KINDS = ("topic", "broker")

#: the settings of topics that are lists. These brokers do not tell the type, and a text that something was appended to
#: may be another valid text
LISTS = ("cleanup.policy", "leader.replication.throttled.replicas", "follower.replication.throttled.replicas")


def merged(resource, found, changes):
    """
    Return ``{name: value}``: all that a resource is to have.

    :param resource: the `kiel.clients.administering.configs.Resource`
    :param found: ``{name: Config}``, all that it has now, of itself and by default
    :param changes: what is to change, as IncrementalAlterConfigs has it
    :raises kiel.exc.UnsupportedVersionError: where that can't be told, or a secret would be lost
    """
    own = "topic" if resource.kind == "topic" else "broker" if resource.name else "all_brokers"
    touched = set(change.name for change in changes)
    # brokers before 1.1 tell no source, only what is no default
    result = dict((name, config.value) for name, config in found.items()
                  if config.source in (own, None) and name not in touched)
    secret = sorted(name for name, value in result.items() if value is None)
    if secret:
        raise exc.UnsupportedVersionError(
            "%s %s has %s, which brokers before Kafka 2.3 do not tell and would forget: they can only be given all "
            "settings at once" % (resource.kind, resource.name, secret[0]))
    for change in changes:
        if change.config_operation == SET:
            result[change.name] = change.value
        elif change.config_operation != DELETE:
            result[change.name] = _list(resource, found, change)
    return result


def _list(resource, found, change):
    """Return a list to which something was added, or from which it was taken."""
    if resource.kind != "topic" or change.name not in LISTS:
        raise exc.UnsupportedVersionError(
            "%s is no list that brokers before Kafka 2.3 are known to have: set its value as a whole" % change.name)
    items = _items(found[change.name].value if change.name in found else None)
    named = _items(change.value)
    kept = [item for item in items if item not in named]
    if change.config_operation == APPEND:
        kept = items + [item for item in named if item not in items]
    return ",".join(kept)


def _items(text):
    return [item for item in (text or "").split(",") if item]


__all__ = ["KINDS", "LISTS", "OPERATIONS", "merged"]
