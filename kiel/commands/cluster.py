"""``kiel cluster``: brokers, directories, controllers, features; leaders elected, partitions moved."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel import exc
from kiel.commands import line
from kiel.commands.showing import DONE, FAILED, complain, outcomes, say, show, table, write_json


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    cluster = kinds.add_parser("cluster", help="brokers, log directories, controllers, features, reassignments")
    commands = cluster.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (
        ("describe", "list the brokers and the controller"),
        ("log-dirs", "show the log directories of brokers, and what is in them"),
        ("quorum", "show the KRaft controllers, and how far each has replicated"),
        ("features", "show or set the levels of features"),
        ("elect", "elect the preferred replicas as leaders"), ("reassign", "reassign partitions to other brokers"),
        ("moves", "list reassignments in progress"),
    ):
        commands.add_parser(name, parents=[shared], help=text).set_defaults(run=COMMANDS[name])
    logs = commands.choices["log-dirs"]
    logs.add_argument("--broker", type=int, action="append", metavar="ID", help="may be given several times")
    logs.add_argument("--partitions", action="store_true", help="show each partition, too")
    features = commands.choices["features"]
    features.add_argument("--set", type=line.pair, action="append", default=[], metavar="NAME=LEVEL")
    features.add_argument("--downgrade", choices=("safe", "unsafe"),
                          help="allow a lower level; unsafe: even if metadata may be lost")
    features.add_argument("--dry-run", action="store_true", help="only check whether it could be done")
    elect = commands.choices["elect"]
    elect.add_argument("--partition", type=line.partition_of, action="append", metavar="TOPIC:PARTITION",
                       help="may be given several times; default: all")
    elect.add_argument("--unclean", action="store_true",
                       help="where no in-sync replica is up, elect one that may lack messages")
    reassign = commands.choices["reassign"]
    reassign.add_argument("--move", type=line.move, action="append", default=[], metavar="TOPIC:PARTITION=ID,ID...",
                          help="the partition's new replicas, the preferred leader first; may be given several times")
    reassign.add_argument("--cancel", type=line.partition_of, action="append", default=[], metavar="TOPIC:PARTITION")
    cluster.set_defaults(needs="cluster describe, log-dirs, quorum, features, elect, reassign or moves")


@gen.coroutine
def _describe(admin, args, out):
    found = yield admin.describe_cluster()
    rows = [dict(broker=each.broker_id, host=each.host, port=each.port, rack=each.rack,
                 controller=each.broker_id == found.controller) for each in found.brokers]
    if args.json:
        write_json(out, dict(cluster=found.cluster_id, controller=found.controller, brokers=rows))
        return
    say(out, "Cluster %s" % (found.cluster_id or "without an id"))
    table(out, rows, ("broker", "host", "port", "rack", "controller"), "No brokers.")


@gen.coroutine
def _log_dirs(admin, args, out):
    found = yield admin.describe_log_dirs(args.broker)
    rows, code = [], DONE
    for broker_id in sorted(found):
        if isinstance(found[broker_id], exc.KielError):
            complain(found[broker_id])
            code = FAILED
            continue
        for path, directory in sorted(found[broker_id].items()):
            size = sum(each.size for each in directory.replicas.values())
            row = dict(broker=broker_id, directory=path, size=size, total=directory.total_bytes,
                       free=directory.usable_bytes, error=directory.error and str(directory.error),
                       partitions=len(directory.replicas))
            if args.partitions:
                rows.extend(dict(row, topic=key[0], partition=key[1], size=each.size, lag=each.lag)
                            for key, each in sorted(directory.replicas.items()))
            else:
                rows.append(row)
    columns = ("broker", "directory", "topic", "partition", "size", "lag") if args.partitions else (
        "broker", "directory", "partitions", "size", "total", "free", "error")
    show(args, out, rows, columns, "No directories.")
    raise gen.Return(code)


@gen.coroutine
def _quorum(admin, args, out):
    found = yield admin.describe_quorum()
    rows = [dict(node=each.node_id, role="leader" if each.node_id == found.leader else role, end=each.end_offset,
                 lag=max(0, found.high_watermark - each.end_offset), last_fetch=each.last_fetch)
            for role, nodes in (("voter", found.voters), ("observer", found.observers)) for each in nodes]
    show(args, out, rows, ("node", "role", "end", "lag"), "No controllers.")


@gen.coroutine
def _features(admin, args, out):
    if args.set:
        wanted = dict((name, int(level)) for name, level in args.set)
        kind = "%s_downgrade" % args.downgrade if args.downgrade else "upgrade"
        found = yield admin.update_features(wanted, kind, validate_only=args.dry_run)
        raise gen.Return(outcomes(
            args, out, [(dict(feature=name, level=wanted[name]), found[name]) for name in sorted(found)],
            lambda row: "%s %s at level %d." % (
                "Could set" if args.dry_run else "Set", row["feature"], row["level"])))
    found = yield admin.describe_features()
    rows = [dict(feature=name, level=found[name].level, least=found[name].least, most=found[name].most)
            for name in sorted(found)]
    show(args, out, rows, ("feature", "level", "least", "most"), "No features.")


@gen.coroutine
def _elect(admin, args, out):
    found = yield admin.elect_leaders(args.partition, unclean=args.unclean)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=key[0], partition=key[1], elected=found[key] is True), found[key])
                    for key in sorted(found)],
        lambda row: "%s:%d %s." % (row["topic"], row["partition"],
                                   "has a new leader" if row["elected"] else "had it already")))


@gen.coroutine
def _reassign(admin, args, out):
    moves = dict(args.move)
    moves.update((key, None) for key in args.cancel)
    if not moves:
        raise ValueError("say what to move: --move TOPIC:PARTITION=ID,ID or --cancel TOPIC:PARTITION")
    found = yield admin.alter_reassignments(moves)
    raise gen.Return(outcomes(
        args, out, [(dict(topic=key[0], partition=key[1], to=moves[key]), found[key]) for key in sorted(found)],
        lambda row: "%s:%d %s." % (row["topic"], row["partition"], "stays" if row["to"] is None else "moves to %s" % (
            ",".join(str(each) for each in row["to"])))))


@gen.coroutine
def _moves(admin, args, out):
    found = yield admin.list_reassignments()
    rows = [dict(topic=key[0], partition=key[1], replicas=each.replicas, adding=each.adding, removing=each.removing)
            for key, each in sorted(found.items())]
    show(args, out, rows, ("topic", "partition", "replicas", "adding", "removing"), "Nothing moves.")


#: the word on the command line -> what it does
COMMANDS = {
    "describe": _describe, "log-dirs": _log_dirs, "quorum": _quorum, "features": _features, "elect": _elect,
    "reassign": _reassign, "moves": _moves,
}
