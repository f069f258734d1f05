"""What an error in an answer of a group's coordinator means to a member: whether it may pass."""
from __future__ import absolute_import

from kiel import exc
from kiel.protocol import errors
from kiel.retry import Backoff

#: codes that trying again does not mend: the member, or what it asks for, is wrong
FINAL = frozenset((
    errors.invalid_group_id, errors.invalid_session_timeout, errors.unsupported_version, errors.invalid_request,
    errors.fenced_instance_id, errors.unsupported_assignor,
))

#: codes by which a coordinator says why it refuses a member, for now: a right may be granted, a place become free, the
#: other members leave
REFUSED = frozenset((
    errors.inconsistent_group_protocol, errors.topic_authorization_failed, errors.group_authorization_failed,
    errors.cluster_authorization_failed, errors.group_max_size_reached, errors.unreleased_instance_id,
    errors.group_id_not_found,
))

#: so many times in a row is a code that nobody expects tried again, before the application gets it as an error
ATTEMPTS = 5

#: the pauses before a member that was refused tries again, at the application's next call
PAUSES = Backoff(first=0.1, most=10.0, deadline=None)

#: the longest of them after a refused login
LOGIN = 1.0


def pause(clock, error):
    """
    Return the seconds before a member that was refused tries again.

    A refused login waits no longer than it does for every other client: it may be mended at any time.

    :param clock: of `PAUSES`
    """
    delay = clock.delay()
    return min(delay, LOGIN) if isinstance(error, exc.AuthenticationError) else delay


def may_pass(error):
    """Return whether a refused member may try again later."""
    return not isinstance(error, exc.UnsupportedVersionError) and getattr(error, "code", None) not in FINAL


def is_unexpected(error):
    """Return whether a broker's error is none that a coordinator refuses members by, such as UNKNOWN_SERVER_ERROR."""
    if not isinstance(error, exc.BrokerError) or error.retriable or error.cure == "rejoin":
        return False
    return error.code not in FINAL and error.code not in REFUSED
