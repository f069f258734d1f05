"""``kiel transactions``: transactional ids, what they have open, and the end of a transaction that hangs."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel import exc
from kiel.commands import line
from kiel.commands.showing import DONE, FAILED, NotThere, complain, say, show, write_json


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    transactions = kinds.add_parser("transactions", help="transactions, including hanging ones")
    commands = transactions.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("list", "list transactional ids"), ("describe", "show the transactions of transactional ids"),
                       ("producers", "show the producers that write to partitions"),
                       ("abort", "abort a hanging transaction")):
        commands.add_parser(name, parents=[shared], help=text).set_defaults(run=COMMANDS[name])
    listing = commands.choices["list"]
    listing.add_argument("--state", action="append", help="such as Ongoing; may be given several times")
    listing.add_argument("--longer-than", type=float, metavar="S",
                         help="only transactions open for more than S seconds")
    commands.choices["describe"].add_argument("id", nargs="+")
    producers = commands.choices["producers"]
    producers.add_argument("partition", nargs="+", type=line.partition_of, metavar="TOPIC:PARTITION")
    abort = commands.choices["abort"]
    abort.add_argument("partition", type=line.partition_of, metavar="TOPIC:PARTITION")
    abort.add_argument("--producer", type=int, required=True, metavar="ID", help="the producer's id")
    abort.add_argument("--execute", action="store_true", help="do it; without this, only show what would be done")
    transactions.set_defaults(needs="transactions list, describe, producers or abort")


@gen.coroutine
def _list(admin, args, out):
    found = yield admin.list_transactions(args.state, longer_than=args.longer_than)
    rows = [dict(id=each.transactional_id, state=each.state, producer_id=each.producer_id,
                 coordinator=each.coordinator) for each in found]
    show(args, out, rows, ("id", "state", "producer_id", "coordinator"), "No transactional ids.")


@gen.coroutine
def _describe(admin, args, out):
    found = yield admin.describe_transactions(args.id)
    rows, code = [], DONE
    for name in args.id:
        if isinstance(found[name], exc.KielError):
            complain(found[name])
            code = FAILED
        else:
            each = found[name]
            rows.append(dict(id=name, state=each.state, producer_id=each.producer_id, epoch=each.epoch,
                             timeout=each.timeout, started=each.started, coordinator=each.coordinator,
                             partitions=["%s:%d" % key for key in each.partitions]))
    if args.json:
        write_json(out, rows)
    elif rows:
        rows = [dict(row, open_in=" ".join(row["partitions"])) for row in rows]
        show(args, out, rows, ("id", "state", "producer_id", "epoch", "timeout", "started", "open_in"), "")
    raise gen.Return(code)


@gen.coroutine
def _producers(admin, args, out):
    found = yield admin.describe_producers(args.partition)
    rows, code = [], DONE
    for key in args.partition:
        if isinstance(found[key], exc.KielError):
            complain(found[key])
            code = FAILED
            continue
        rows.extend(dict(topic=key[0], partition=key[1], producer_id=each.producer_id, epoch=each.epoch,
                         last_timestamp=each.last_timestamp, open_since=each.transaction_start)
                    for each in found[key])
    show(args, out, rows, ("topic", "partition", "producer_id", "epoch", "last_timestamp", "open_since"),
         "No producers.")
    raise gen.Return(code)


@gen.coroutine
def _abort(admin, args, out):
    found = (yield admin.describe_producers([args.partition]))[args.partition]
    if isinstance(found, exc.KielError):
        raise found
    open_there = [each for each in found if each.producer_id == args.producer and each.transaction_start is not None]
    where = "%s:%d" % args.partition
    if not open_there:
        raise NotThere("producer %d has no transaction open in %s" % (args.producer, where))
    if args.execute:
        yield admin.abort_transaction(args.partition, open_there[0])
    if args.json:
        write_json(out, dict(topic=args.partition[0], partition=args.partition[1], producer_id=args.producer,
                             open_since=open_there[0].transaction_start, done=args.execute))
    else:
        say(out, "%s the transaction of producer %d in %s, open since offset %d." % (
            "Aborted" if args.execute else "Would abort", args.producer, where, open_there[0].transaction_start))


#: the word on the command line -> what it does
COMMANDS = {"list": _list, "describe": _describe, "producers": _producers, "abort": _abort}
