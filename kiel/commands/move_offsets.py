"""``kiel move-offsets``: what groups of kiel 0.9 committed in ZooKeeper, copied into Kafka's own store."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel.clients.grouping.group_view import first_errors_raised
from kiel.commands.showing import NotThere, say, write_json


def add(kinds, shared):
    """Add the parser of this command."""
    command = kinds.add_parser(
        "move-offsets", parents=[shared], help="copy offsets that kiel 0.9 committed from ZooKeeper into Kafka",
        description="Copies what a group of kiel 0.9 committed into Kafka's own store. Run it while no member of the "
        "group runs, on brokers that still have both stores. The higher of both positions is written to both, so it "
        "may be run again, and 0.9 can still go on.")
    command.add_argument("group", metavar="GROUP", help="the group; none of its members may be running")
    command.set_defaults(run=run, zookeeper_offsets=True)


@gen.coroutine
def run(admin, args, out):
    """Read what is committed for every partition there is, and commit it."""
    group = admin.group(args.group)
    keys = [(topic, number) for topic, numbers in admin.cluster.topics.items() for number in numbers]
    committed = yield group.committed_offsets(keys)
    first_errors_raised(committed)
    offsets = dict((key, offset) for key, offset in committed.items() if offset is not None)
    if not offsets:
        raise NotThere("group %s has committed nothing, in either store" % args.group)
    first_errors_raised((yield group.commit(offsets, "moved from kiel 0.9")))
    if args.json:
        write_json(out, [dict(topic=topic, partition=number, offset=offsets[topic, number])
                         for topic, number in sorted(offsets)])
        return
    for topic, number in sorted(offsets):
        say(out, "%s:%d at %d" % (topic, number, offsets[topic, number]))
    say(out, "%d partitions of group %s are in every store" % (len(offsets), args.group))
