"""
How commands connect: options, the environment and a file of properties, in this order.

The file has ``name = value`` lines as Java's and librdkafka's have, and is understood under both's names.
"""
from __future__ import absolute_import

import os

import kiel
from kiel.commands import logins, properties
from kiel.commands.showing import CommandError
from kiel.retry import Backoff

#: what is read where no option says otherwise
ENVIRONMENT = {"brokers": "KIEL_BROKERS", "config": "KIEL_CONFIG"}


def add_options(parser):
    """Add the options that all commands have."""
    parser.add_argument("-b", "--brokers", metavar="HOST:PORT[,...]", help="bootstrap servers; also $KIEL_BROKERS")
    parser.add_argument("-F", "--config", metavar="FILE",
                        help="a properties file as for Kafka's own tools or librdkafka; also $KIEL_CONFIG")
    parser.add_argument("-X", "--property", metavar="NAME=VALUE", action="append", default=[],
                        help="one such property; passwords are refused")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--timeout", type=float, default=30, metavar="S",
                        help="give up after S seconds (default %(default)g)")
    parser.add_argument("--verbose", action="store_true", help="log to standard error what the client does")
    secure = parser.add_argument_group("security")
    secure.add_argument("--tls", action="store_true", help="use TLS, with the system's certificate authorities")
    secure.add_argument("--ca-file", metavar="FILE", help="use TLS, with these certificate authorities (PEM)")
    secure.add_argument("--cert", metavar="FILE", help="the client's certificate (PEM)")
    secure.add_argument("--key", metavar="FILE", help="the client's private key (PEM)")
    secure.add_argument("--sasl", choices=sorted(logins.MECHANISMS), help="log in by this mechanism")
    secure.add_argument("--user", help="the user name to log in with")
    secure.add_argument("--password-env", metavar="NAME",
                        help="the environment variable that has the password (default: KIEL_PASSWORD)")
    secure.add_argument("--password-file", metavar="FILE", help="the file whose first line is the password")


def take_in(args):
    """
    Complete the options by what the environment and the file say.

    Return the properties that are no options: ``{"client_id": ..., "group": ..., ...}``.

    :raises CommandError: for a file that can't be read, a property that is not known, no brokers
    """
    found = {}
    path = args.config or os.environ.get(ENVIRONMENT["config"])
    if path:
        for name, value in properties.read(path):
            properties.note(found, name, value, "%s: " % path)
    for text in args.property:
        name, sign, value = text.partition("=")
        if not sign:
            raise CommandError("-X takes NAME=VALUE, not %s" % text)
        if properties.SECRET.search(name):
            raise CommandError("-X %s would show it to everybody on this machine; put it into a file, and name that "
                               "with --config" % name.strip())
        properties.note(found, name.strip(), value.strip(), "-X ")
    args.brokers = args.brokers or os.environ.get(ENVIRONMENT["brokers"]) or found.pop("brokers", None)
    if not args.brokers:
        raise CommandError("which brokers? --brokers HOST:PORT, $KIEL_BROKERS, or bootstrap.servers in a file")
    _take_security(args, found)
    return found


def _take_security(args, found):
    """Fill in how to connect and log in, where no option says it."""
    protocol = found.pop("protocol", "").upper()
    if protocol not in ("", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        raise CommandError("security.protocol is %s, which does not exist" % protocol)
    args.tls = args.tls or protocol in ("SSL", "SASL_SSL")
    _take_tls(args, found)
    logins.take_in(args, found, protocol in ("", "SASL_PLAINTEXT", "SASL_SSL"))


def _take_tls(args, found):
    """Take over what is about TLS."""
    if found.pop("pem", "PEM").upper() != "PEM":
        raise CommandError("certificates have to be PEM files; Java's keystores can't be read")
    if not properties.truth(found, "verify", "true"):
        raise CommandError("certificates are always checked: name the authority in ssl.ca.location")
    for name in "ca_file", "cert", "key":
        given = found.pop(name, None)
        setattr(args, name, getattr(args, name) or given)
    args.key_password = found.pop("key_password", None)
    args.check_host = found.pop("host_check", "https").lower() not in ("", "none")


def settings(args, found):
    """
    Return the keyword arguments that all clients take.

    :param found: what `take_in` returned
    :raises CommandError: when options do not go together or a file can't be read
    """
    made = dict(retry=Backoff(deadline=args.timeout), connect_timeout=min(10, args.timeout),
                request_timeout=args.timeout)
    if args.tls or args.ca_file or args.cert:
        made["ssl"] = tls(args)
    if args.sasl is not None:
        made["sasl"] = logins.mechanism(args)
    elif args.user or args.password_env or args.password_file:
        raise CommandError("--user and a password need --sasl")
    for name in "client_id", "proxy":
        if name in found:
            made[name] = found[name]
    if "metrics_push" in found:
        made["enable_metrics_push"] = properties.truth(found, "metrics_push", "true")
    return made


def tls(args):
    """
    Return the TLS settings that the options ask for.

    :raises CommandError: when a file can't be read
    """
    try:
        return kiel.ssl(cafile=args.ca_file, certfile=args.cert, keyfile=args.key, password=args.key_password,
                        check_hostname=args.check_host)
    except (TypeError, ValueError) as error:
        raise CommandError("the TLS files can't be read: %s" % error)


def octets(text):
    """Return what the command line has as text as bytes, whatever they are; None stays."""
    if text is None or isinstance(text, bytes):
        return text
    return os.fsencode(text)
