"""A use as a test: it passes, or it is pending and does not."""
from __future__ import absolute_import

from tests.faithful import uses
from tests.faithful.pending import PENDING
from tests.faithful.uses.running import run

#: settings of the brokers: what 0.9.3 can read, and no topic but those that a use makes
SETTINGS = {"log.message.format.version": "0.9.0", "auto.create.topics.enable": "false"}


def check(name, brokers=(), zk_hosts=()):
    """Runs a use; one that is pending has to fail."""
    function = uses.load()[name][2]
    if name not in PENDING:
        return run(function, brokers, zk_hosts)
    try:
        run(function, brokers, zk_hosts, limit=10)
    except Exception:
        return None
    raise AssertionError("%s passes: take it out of tests/faithful/pending.py" % name)
