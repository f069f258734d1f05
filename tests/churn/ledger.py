"""
What members of a group wrote down, and whether it may have happened so.

A ledger is a list of entries, dicts with a time ``t`` (seconds, one clock for all), a member ``m`` and an event ``e``:

============ ============================= ==========================================================================
``e``        more                          written
============ ============================= ==========================================================================
assigned     ``p``: ids                    by the member, before it reads them
revoked      ``p``: ids                    by the member, when its work on them is over, before it gives them away
lost         ``p``: ids                    by the member, when it learns that they are not its own any more
took         ``p``, ``first``, ``last``    by the member, when it is handed messages of one partition
done         ``p``, ``o``: offset          by the member, when it has processed one
stall        ``since``                     by the member, when its whole process has stood still
closing      -                             by the member, when it has processed and committed all, before it leaves
kill         -                             by the driver, before SIGKILL
pause        -                             by the driver, before SIGSTOP
resume       -                             by the driver, before SIGCONT
============ ============================= ==========================================================================

A member is a process: one that is started again is another member. A member is *broken* from a kill, or from a pause
or stall of at least `patience`, on: it may have been taken for dead.
"""
from __future__ import absolute_import

import collections
import json
import os

#: seconds for which a member that stood still may go on with what it had been handed by then
GRACE = 1.0

#: seconds before a break from which on what was processed may not have been committed
UNCOMMITTED = 10.0

FOREVER = float("inf")


def append(fd, **entry):
    """Writes one entry to an open file, in one piece, so that it is there even if the writer is killed next."""
    os.write(fd, (json.dumps(entry, sort_keys=True) + "\n").encode("ascii"))


def load(paths):
    """All entries of some files, in the order of their times."""
    entries = []
    for path in paths:
        with open(path) as source:
            entries.extend(json.loads(line) for line in source)
    return sorted(entries, key=lambda entry: entry["t"])  # stable: those of one member keep their order


class Term(object):
    """The time for which a member owns a partition, by its own account."""

    def __init__(self, member, partition, begin):
        self.member = member
        self.partition = partition
        self.begin = begin
        self.end = FOREVER
        #: since when it may have been another's; the end at the latest
        self.sure_until = FOREVER
        #: how far it has been handed messages
        self.next = None

    def __repr__(self):
        return "%s's partition %d (%.3f to %.3f)" % (self.member, self.partition, self.begin, self.end)


class Checker(object):
    """
    Decides on a ledger: ``problems`` is a list of sentences, empty if all is well; ``counts`` tells what there was.

    :param entries: the ledger, in order
    :param ends: partition -> how many messages were written to it
    :param patience: seconds of standing still from which on a member may be taken for dead
    """

    def __init__(self, entries, ends, patience):
        self.entries = entries
        self.patience = patience
        self.problems = []
        self.counts = collections.Counter(entry["e"] for entry in entries)
        self.breaks = self._breaks()
        self.terms = collections.defaultdict(list)  # partition -> terms
        #: (partition, offset) -> [(time, member, time it was handed out)]
        self.done = collections.defaultdict(list)
        self._follow()
        self._check_witnesses()
        self._check_lost(ends)
        self._check_twice()

    def _say(self, entry, text, *values):
        self.problems.append("%.3f %s: %s" % (entry["t"], entry["m"], text % values))

    # -- when members stood still --

    def _breaks(self):
        """Member -> [(begin, end)] of each time that it may have been taken for dead."""
        breaks, paused = collections.defaultdict(list), {}
        for entry in self.entries:
            member, time = entry["m"], entry["t"]
            if entry["e"] == "pause":
                paused[member] = time
            elif entry["e"] == "resume" and time - paused[member] >= self.patience:
                breaks[member].append((paused[member], time))
            elif entry["e"] == "stall" and time - entry["since"] >= self.patience:
                breaks[member].append((entry["since"], time))
            elif entry["e"] == "kill":
                breaks[member].append((time, FOREVER))
        return breaks

    def _broken(self, member, time):
        """Whether what a member does at a time is that of one taken for dead."""
        return any(begin <= time <= end + GRACE for begin, end in self.breaks[member])

    # -- what each member did --

    def _follow(self):
        """Goes through the entries: terms, and whether each member keeps to its own."""
        open_terms, had, batches = {}, set(), {}
        self._work = []  # (entry, time it was handed out, term or None)
        for entry in self.entries:
            member, event = entry["m"], entry["e"]
            if event == "assigned":
                for partition in entry["p"]:
                    if (member, partition) in open_terms:
                        self._say(entry, "was assigned partition %d, which it has", partition)
                        continue
                    had.add((member, partition))
                    term = open_terms[member, partition] = Term(member, partition, entry["t"])
                    self.terms[partition].append(term)
            elif event in ("revoked", "lost", "closing", "kill"):
                keys = [(member, partition) for partition in entry["p"]] if "p" in entry else [
                    key for key in open_terms if key[0] == member]
                for key in keys:
                    if key in open_terms:
                        open_terms.pop(key).end = entry["t"]
                    elif event != "lost" or key not in had:  # lost it can be between being revoked and the last commit
                        self._say(entry, "%s partition %d, which it has not", event, key[1])
                if event == "lost" and not any(begin <= entry["t"] for begin, _ in self.breaks[member]):
                    self._say(entry, "lost partitions %s without having stood still", entry["p"])
            elif event in ("took", "done"):
                self._follow_work(entry, open_terms, batches)
        for terms in self.terms.values():
            for term in terms:
                begins = [begin for begin, end in self.breaks[term.member] if end + GRACE >= term.begin]
                term.sure_until = min([term.end] + [max(begin, term.begin) for begin in begins])

    def _follow_work(self, entry, open_terms, batches):
        """A member was handed messages, or has processed one."""
        member, partition = key = entry["m"], entry["p"]
        term = open_terms.get(key)
        if entry["e"] == "took":
            batches[key] = entry
            if term is not None:
                if term.next not in (None, entry["first"]):
                    self._say(entry, "was handed %d of partition %d after %d", entry["first"], partition, term.next - 1)
                term.next = entry["last"] + 1
        else:
            taken = batches.get(key)
            if taken is None or not taken["first"] <= entry["o"] <= taken["last"]:
                self._say(entry, "processed %d of partition %d, which it was not handed", entry["o"], partition)
                taken = entry
            self.done[partition, entry["o"]].append((entry["t"], member, taken["t"]))
        handed = batches.get(key, entry)["t"]
        if term is None and not self._broken(member, handed) and not self._broken_between(member, handed, entry["t"]):
            self._say(entry, "%s of partition %d, which it has not", entry["e"], partition)
        self._work.append((entry, handed))

    def _broken_between(self, member, begin, end):
        """Whether a member was taken for dead between two times."""
        return any(begin <= start <= end for start, _ in self.breaks[member])

    # -- what they did together --

    def _check_witnesses(self):
        """Nobody works on a partition while another surely has it."""
        for entry, handed in self._work:
            member, time = entry["m"], entry["t"]
            if self._broken(member, handed) or self._broken_between(member, handed, time):
                continue
            for term in self.terms[entry["p"]]:
                if term.member != member and term.begin < time < term.sure_until:
                    self._say(entry, "%s of %r", entry["e"], term)

    def _check_lost(self, ends):
        """Every message was processed."""
        for partition in sorted(ends):
            missing = [offset for offset in range(ends[partition]) if not self.done[partition, offset]]
            if missing:
                self.problems.append("partition %d: %d of %d messages lost, %d the first" % (
                    partition, len(missing), ends[partition], missing[0]))
        beyond = [key for key in self.done if self.done[key] and key[1] >= ends.get(key[0], 0)]
        if beyond:
            self.problems.append("processed, but not written: %s" % sorted(beyond)[:5])

    def _check_twice(self):
        """What was processed twice was so because of a break."""
        for (partition, offset), times in sorted(self.done.items()):
            if len(times) < 2:
                continue
            self.counts["twice"] += 1
            if not any(self._excuses(*once, last=times[-1][0]) for once in times):
                self.problems.append("%.3f %s: %d of partition %d was processed before, by %s" % (
                    times[-1][0], times[-1][1], offset, partition,
                    ", ".join("%s at %.3f" % (member, time) for time, member, _ in times[:-1])))

    def _excuses(self, time, member, handed, last):
        """Whether what a member processed can't have been committed because it was taken for dead."""
        return any(begin - UNCOMMITTED <= time and handed <= end + GRACE and begin <= last
                   for begin, end in self.breaks[member])
