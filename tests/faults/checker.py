"""Decides what a history says: which messages were lost, written twice, out of order, or seen though aborted."""
from __future__ import absolute_import

import collections

#: counts of what went wrong, and the first few cases of each in ``examples``
Verdict = collections.namedtuple("Verdict", "acknowledged lost duplicated reordered aborted strangers examples")

#: cases told of each kind
EXAMPLES = 5


def check(acknowledged, got, aborted=(), unknown=()):
    """
    Gives the `Verdict` on a history.

    Messages are ``(key, number)``; the numbers of a key were given out in the order of production.

    :param acknowledged: the messages that the producer was told are written (or committed)
    :param got: what was read, in the order in which it was read: an iterable of ``(key, number)``
    :param aborted: messages of transactions that were aborted, which nobody may see
    :param unknown: messages whose fate the producer does not know: each may be there, once, in its place

    *lost*: acknowledged, never read. *duplicated*: how many more times than once messages were read. *reordered*:
    messages whose first reading comes after that of a later one of their key. *aborted*: messages read though aborted.
    *strangers*: read, but nobody knows of them.
    """
    acknowledged, aborted, unknown = set(acknowledged), set(aborted), set(unknown)
    examples = collections.OrderedDict()

    def note(kind, what):
        """Counts a case, and keeps the first few."""
        counts[kind] += 1
        if len(examples.setdefault(kind, [])) < EXAMPLES:
            examples[kind].append(what)

    counts = collections.Counter()
    seen = set()
    latest = {}
    for message in got:
        key, number = message
        if message in seen:
            note("duplicated", message)
            continue
        seen.add(message)
        if message in aborted:
            note("aborted", message)
        elif message not in acknowledged and message not in unknown:
            note("strangers", message)
        if number < latest.get(key, number):
            note("reordered", message)
        latest[key] = max(number, latest.get(key, number))
    for message in sorted(acknowledged - seen):
        note("lost", message)
    return Verdict(
        len(acknowledged), counts["lost"], counts["duplicated"], counts["reordered"], counts["aborted"],
        counts["strangers"], examples
    )
