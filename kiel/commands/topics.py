"""``kiel topics``: topics looked at, made, grown, emptied and deleted."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel import exc
from kiel.clients.administering.topics import NewTopic
from kiel.clients.consuming.offset_lookup import END
from kiel.commands import line
from kiel.commands.showing import DONE, FAILED, complain, outcomes, say, show, table, write_json


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    topics = kinds.add_parser("topics", help="topics")
    commands = topics.add_subparsers(dest="command", metavar="COMMAND")
    listing = commands.add_parser("list", parents=[shared], help="list the topics")
    listing.add_argument("--internal", action="store_true", help="also Kafka's internal topics")
    describe = commands.add_parser("describe", parents=[shared], help="show partitions, leaders, replicas")
    describe.add_argument("topic", nargs="+")
    create = commands.add_parser("create", parents=[shared], help="create topics")
    create.add_argument("topic", nargs="+")
    create.add_argument("--partitions", type=int, metavar="N", help="default: the brokers' setting")
    create.add_argument("--replicas", type=int, metavar="N", help="default: the brokers' setting")
    create.add_argument("--set", type=line.pair, action="append", default=[], metavar="NAME=VALUE",
                        help="a setting of the topic; may be given several times")
    create.add_argument("--dry-run", action="store_true", help="only check whether it could be done")
    delete = commands.add_parser("delete", parents=[shared], help="delete topics and all their messages")
    delete.add_argument("topic", nargs="+")
    grow = commands.add_parser("grow", parents=[shared], help="add partitions")
    grow.add_argument("topic", nargs="+")
    grow.add_argument("--partitions", type=int, required=True, metavar="N", help="the new total number of partitions")
    grow.add_argument("--dry-run", action="store_true", help="only check whether it could be done")
    offsets = commands.add_parser("offsets", parents=[shared], help="show the first and the end offset of partitions")
    offsets.add_argument("topic", nargs="+")
    offsets.add_argument("--time", type=line.moment, help="also the first message at or after this time: "
                         "milliseconds since 1970, or UTC as 2026-01-31T12:00")
    trim = commands.add_parser("trim", parents=[shared], help="delete messages before an offset")
    trim.add_argument("--before", type=line.explicit, action="append", default=[], metavar="TOPIC:PARTITION=OFFSET",
                      help="may be given several times")
    trim.add_argument("--all", action="append", default=[], metavar="TOPIC", help="all messages of a topic")
    for name, run in COMMANDS.items():
        commands.choices[name].set_defaults(run=run)
    topics.set_defaults(needs="topics list, describe, create, delete, grow, offsets or trim")


@gen.coroutine
def _list(admin, args, out):
    found = yield admin.list_topics(internal=args.internal)
    rows = [dict(topic=each.name, partitions=each.partitions, id=each.topic_id, internal=each.internal)
            for each in found]
    show(args, out, rows, ("topic", "partitions", "id") if any(row["id"] for row in rows) else (
        "topic", "partitions"), "No topics.")


@gen.coroutine
def _describe(admin, args, out):
    found = yield admin.describe_topics(args.topic)
    shown, code = [], DONE
    for name in args.topic:
        topic = found[name]
        if isinstance(topic, exc.KielError):
            complain(topic)
            code = FAILED
            continue
        rows = [dict(partition._asdict()) for partition in topic.partitions]
        shown.append(dict(topic=name, id=topic.topic_id, internal=topic.internal, partitions=rows))
        if not args.json:
            known_as = ", id %s" % topic.topic_id if topic.topic_id else ""
            say(out, "Topic %s: %d partitions%s" % (name, len(rows), known_as))
            rows = [dict(row, replicas=_ids(row["replicas"]), in_sync=_ids(row["in_sync"])) for row in rows]
            table(out, rows, ("partition", "leader", "replicas", "in_sync"), "No partitions.")
    if args.json:
        write_json(out, shown)
    raise gen.Return(code)


def _ids(numbers):
    return ",".join(str(number) for number in numbers)


@gen.coroutine
def _create(admin, args, out):
    found = yield admin.create_topics(
        [NewTopic(name, args.partitions, args.replicas, configs=dict(args.set)) for name in args.topic],
        validate_only=args.dry_run)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=name), found[name]) for name in args.topic],
        lambda row: "%s %s." % ("Could make" if args.dry_run else "Made", row["topic"])))


@gen.coroutine
def _delete(admin, args, out):
    found = yield admin.delete_topics(args.topic)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=name), found[name]) for name in args.topic], lambda row: "Deleted %s." % row["topic"]))


@gen.coroutine
def _grow(admin, args, out):
    found = yield admin.create_partitions(dict.fromkeys(args.topic, args.partitions), validate_only=args.dry_run)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=name), found[name]) for name in args.topic],
        lambda row: "%s %s to %d partitions." % (
            "Could grow" if args.dry_run else "Grew", row["topic"], args.partitions)))


@gen.coroutine
def _offsets(admin, args, out):
    rows = []
    for name in args.topic:
        known = (yield admin.describe_topics([name]))[name]  # which creates no topic
        if isinstance(known, exc.KielError):
            raise known
        first, last = yield [admin.beginning_offsets(name), admin.end_offsets(name)]
        then = {}
        if args.time is not None:
            then = yield admin.offsets_for_times(name, args.time)
        for partition in sorted(first):
            at = then.get(partition)
            rows.append(dict(topic=name, partition=partition, beginning=first[partition], end=last[partition],
                             offset=None if at is None else at[0]))
    columns = ["topic", "partition", "beginning", "end"] + (["offset"] if args.time is not None else [])
    show(args, out, rows, columns, "No partitions.")


@gen.coroutine
def _trim(admin, args, out):
    wanted = dict(args.before)
    for name in args.all:
        topic = (yield admin.describe_topics([name]))[name]
        if isinstance(topic, exc.KielError):
            raise topic
        wanted.update(((name, each.partition), END) for each in topic.partitions)
    if not wanted:
        raise ValueError("say what to delete: --before TOPIC:PARTITION=OFFSET, or --all TOPIC")
    found = yield admin.delete_records(wanted)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=key[0], partition=key[1], beginning=_number(found[key])), found[key])
                    for key in sorted(found)],
        lambda row: "%s:%d begins at %d." % (row["topic"], row["partition"], row["beginning"])))


def _number(value):
    return None if isinstance(value, exc.KielError) else value


#: the word on the command line -> what it does
COMMANDS = {
    "list": _list, "describe": _describe, "create": _create, "delete": _delete, "grow": _grow, "offsets": _offsets,
    "trim": _trim,
}
