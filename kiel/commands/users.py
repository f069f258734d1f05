"""``kiel users``: who may log in by SCRAM, and what users, client ids and addresses may use."""
from __future__ import absolute_import, print_function

import getpass

from tornado import gen

from kiel.clients.administering.users import DEFAULT, ITERATIONS, NUMBERS, Credential, Entity, NoCredential
from kiel.commands import line, logins
from kiel.commands.showing import CommandError, outcomes, show


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    users = kinds.add_parser("users", help="SCRAM credentials, and quotas")
    commands = users.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("list", "list users with SCRAM credentials"), ("set", "set a user's SCRAM password"),
                       ("delete", "delete a user's SCRAM credentials"), ("quotas", "show or change quotas")):
        commands.add_parser(name, parents=[shared], help=text).set_defaults(run=COMMANDS[name])
    for name in "set", "delete":
        commands.choices[name].add_argument("name")
        commands.choices[name].add_argument("--mechanism", choices=sorted(NUMBERS), default="SCRAM-SHA-512")
    new = commands.choices["set"]
    new.add_argument("--iterations", type=int, default=ITERATIONS, metavar="N")
    new.add_argument("--new-password-env", metavar="NAME", help="the environment variable that has the new password")
    new.add_argument("--new-password-file", metavar="FILE", help="the file whose first line is the new password")
    quotas = commands.choices["quotas"]
    for name in "user", "client-id", "ip":
        quotas.add_argument("--of-" + name, metavar="NAME", help="quotas of this %s; \"\" means the default" % name)
    quotas.add_argument("--set", type=line.pair, action="append", default=[], metavar="QUOTA=NUMBER")
    quotas.add_argument("--unset", action="append", default=[], metavar="QUOTA")
    quotas.add_argument("--dry-run", action="store_true", help="only check whether it could be done")
    users.set_defaults(needs="users list, set, delete or quotas")


@gen.coroutine
def _list(admin, args, out):
    found = yield admin.describe_scram_users()
    rows = [dict(user=user, mechanism=mechanism, iterations=iterations)
            for user in sorted(found) for mechanism, iterations in sorted(found[user].items())]
    show(args, out, rows, ("user", "mechanism", "iterations"), "No users.")


def _new_password(args):
    """Return the password that somebody is to have."""
    if args.new_password_env:
        return logins.variable(args.new_password_env)
    if args.new_password_file:
        return logins.first_line(args.new_password_file)
    if not logins.on_terminal():
        raise CommandError("--new-password-env or --new-password-file, or a terminal to ask on")
    given = getpass.getpass("New password of %s: " % args.name)
    if given != getpass.getpass("The same again: "):
        raise CommandError("the two passwords differ")
    return given


@gen.coroutine
def _set(admin, args, out):
    found = yield admin.alter_scram_users(Credential(args.name, _new_password(args), args.mechanism, args.iterations))
    raise gen.Return(outcomes(
        args, out, [(dict(user=args.name, mechanism=args.mechanism), found[args.name])],
        lambda row: "%s can log in by %s." % (row["user"], row["mechanism"])))


@gen.coroutine
def _delete(admin, args, out):
    found = yield admin.alter_scram_users(NoCredential(args.name, args.mechanism))
    raise gen.Return(outcomes(
        args, out, [(dict(user=args.name, mechanism=args.mechanism), found[args.name])],
        lambda row: "%s can't log in by %s any more." % (row["user"], row["mechanism"])))


@gen.coroutine
def _quotas(admin, args, out):
    named = dict((part, DEFAULT if value == "" else value) for part, value in (
        ("user", args.of_user), ("client_id", args.of_client_id), ("ip", args.of_ip)) if value is not None)
    if args.set or args.unset:
        code = yield _change_quotas(admin, args, out, Entity(**named))
        raise gen.Return(code)
    found = yield admin.describe_client_quotas(named)
    rows = [dict(_columns(entity), quota=name, value=found[entity][name])
            for entity in sorted(found, key=str) for name in sorted(found[entity])]
    show(args, out, rows, ("user", "client_id", "ip", "quota", "value"), "No quotas.")


@gen.coroutine
def _change_quotas(admin, args, out, entity):
    changes = dict((name, float(value)) for name, value in args.set)
    changes.update((name, None) for name in args.unset)
    found = yield admin.alter_client_quotas({entity: changes}, validate_only=args.dry_run)
    raise gen.Return(outcomes(
        args, out, [(_columns(entity), found[entity])],
        lambda row: "%s the quotas." % ("Could change" if args.dry_run else "Changed")))


def _columns(entity):
    """Return an entity as columns."""
    return dict((part, "<default>" if value is DEFAULT else value) for part, value in entity._asdict().items())


#: the word on the command line -> what it does
COMMANDS = {"list": _list, "set": _set, "delete": _delete, "quotas": _quotas}
