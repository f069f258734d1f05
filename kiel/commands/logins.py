"""How commands log in: who, by which mechanism, and where the secrets come from."""
from __future__ import absolute_import

import getpass
import io
import os
import re
import sys

import kiel
from kiel import oidc, sasl
from kiel.commands.showing import CommandError

#: where a password is looked for without an option
PASSWORD = "KIEL_PASSWORD"

#: Java's login handlers that do what the mechanism here does anyway
HANDLERS = ("IAMClientCallbackHandler", "OAuthBearerLoginCallbackHandler")

_JAAS = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


def take_in(args, found, wanted):
    """
    Take over what properties say about a login.

    :param args: the options, which get ``user``, ``password`` and ``login``: the other words, by Java's names in JAAS
    :param found: the properties that are no options, out of which it is taken
    :param wanted: whether there is a login at all
    :raises CommandError: for a mechanism that there is not
    """
    words = dict(_JAAS.findall(found.pop("jaas", "")))
    mechanism, user = found.pop("sasl", None), found.pop("user", words.get("username"))
    args.password = found.pop("password", words.get("password"))
    handler = found.pop("handler", HANDLERS[0]).rpartition(".")[2]
    if wanted and handler not in HANDLERS:
        raise CommandError("%s is a Java login handler, which this command does not support" % handler)
    for name in "token_url", "clientId", "clientSecret", "scope", "serviceName", "principal", "keyTab", "method":
        value = found.pop("login." + name, None)
        words[name] = words.get(name) if value is None else value
    args.login = words
    if args.sasl is None and mechanism and wanted:
        args.sasl = mechanism.upper()
        if args.sasl not in MECHANISMS:
            raise CommandError("sasl.mechanism is %s; the command logs in by %s" % (
                mechanism, ", ".join(sorted(MECHANISMS))))
    if args.sasl is not None:
        args.user = args.user or user


def mechanism(args):
    """
    Return the `kiel.sasl` mechanism that the options ask for.

    :raises CommandError: when something is missing
    """
    try:
        return MECHANISMS[args.sasl](args)
    except (ImportError, ValueError) as error:
        raise CommandError("a login by %s is not possible: %s" % (args.sasl, error))


def _by_password(args):
    """PLAIN, and SCRAM of each kind."""
    if not args.user:
        raise CommandError("--sasl needs --user")
    more = () if args.sasl == "PLAIN" else (args.sasl,)
    return sasl.mechanisms[args.sasl](args.user, password(args), *more)


def _by_token(args):
    """OAUTHBEARER: a token of an identity provider's, for the client's own secret."""
    words = args.login
    if (words["method"] or "oidc").lower() != "oidc" or not words["token_url"]:
        raise CommandError("a login by OAUTHBEARER needs sasl.oauthbearer.token.endpoint.url, and method oidc")
    args.user = args.user or words["clientId"]
    if not args.user:
        raise CommandError("a login by OAUTHBEARER needs --user or sasl.oauthbearer.client.id")
    if words["clientSecret"] is not None:
        args.password = words["clientSecret"]
    trusted = kiel.ssl(cafile=args.ca_file) if args.ca_file else None
    return sasl.OAuthBearer(oidc.ClientCredentials(
        words["token_url"], args.user, password(args), scope=words["scope"], ssl=trusted))


def _by_ticket(args):
    """GSSAPI: the ticket that is there, or one by a keytab."""
    words = args.login
    return sasl.Gssapi(words["serviceName"] or "kafka", args.user or words["principal"], words["keyTab"])


def _by_aws(args):
    """AWS_MSK_IAM: the credentials of the environment."""
    return sasl.AwsMskIam()


#: SASL name -> what makes the mechanism
MECHANISMS = dict((name, _by_password) for name in sasl.mechanisms)
MECHANISMS.update({"OAUTHBEARER": _by_token, "GSSAPI": _by_ticket, "AWS_MSK_IAM": _by_aws})


def password(args):
    """
    Read the password: from where an option says, the environment, the file of properties, or the terminal.

    :raises CommandError: when it is not there
    """
    if args.password_env and args.password_file:
        raise CommandError("--password-env or --password-file, not both")
    if args.password_env:
        return variable(args.password_env)
    if args.password_file:
        return first_line(args.password_file)
    found = os.environ.get(PASSWORD, args.password)
    if found is None and getattr(args, "may_ask", True) and on_terminal():
        found = getpass.getpass("Password of %s: " % args.user)
    if not found:
        raise CommandError("--sasl needs a password: --password-file, $KIEL_PASSWORD or --password-env, a file of "
                           "properties, or a terminal to ask on")
    return found


def on_terminal():
    """Return whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def variable(name):
    """Return what the environment has."""
    if name not in os.environ:
        raise CommandError("the environment has no %s" % name)
    return os.environ[name]


def first_line(path):
    """Return the first line of a file that has a password."""
    try:
        with io.open(path, encoding="utf-8") as source:
            return source.readline().rstrip("\r\n")
    except (EnvironmentError, UnicodeDecodeError) as error:
        raise CommandError("the password can't be read: %s" % error)


__all__ = ["HANDLERS", "MECHANISMS", "PASSWORD", "first_line", "mechanism", "on_terminal", "password", "take_in",
           "variable"]
