"""AWS_MSK_IAM: a request to connect, signed by an AWS identity (Signature Version 4), without botocore."""
from __future__ import absolute_import

import datetime
import hashlib
import hmac
import json
import os
import time

import six
from six.moves.urllib.parse import quote

from kiel import exc
from kiel.sasl import credentials

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "kafka-cluster"
ACTION = "kafka-cluster:Connect"
#: the protocol's version, as its authors named it
VERSION = "2020_10_22"
#: seconds for which a signature holds
EXPIRES = "900"

#: what MSK's broker names look like: b-1.name.abc123.c2.kafka.REGION.amazonaws.com
DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")


class AwsMskIam(object):
    """
    Logs in to Amazon MSK by an AWS identity: use it over TLS.

    :param credentials: ``(access key id, secret access key)`` or ``(..., session token)``; or a function or coroutine
        function of such, asked at each login; default: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and
        ``AWS_SESSION_TOKEN`` of the environment at each login
    :param region: such as ``"eu-central-1"``; default: that in the broker's name, else ``AWS_REGION`` or
        ``AWS_DEFAULT_REGION`` of the environment
    """

    name = "AWS_MSK_IAM"
    hint = "check the identity, its policy (kafka-cluster:Connect), the region and the clock"

    def __init__(self, credentials=None, region=None):
        self.region = region
        self._credentials = credentials if callable(credentials) or credentials is None else checked(credentials)

    def session(self, host):
        """Begin one login to a broker, whose name is part of what is signed."""
        region = self.region or region_of(host)
        if not region:
            raise exc.AuthenticationError(
                "SASL AWS_MSK_IAM: %s does not name an AWS region: pass region=, or set AWS_REGION" % host
            )
        asked = self._credentials if self._credentials is not None else from_environment

        def make(**asked):
            return MskSession(signed(host, region, *checked(asked["credentials"])))
        return credentials.resolve(make, credentials=asked)

    def __repr__(self):
        return "AwsMskIam(credentials=..., region=%r)" % (self.region,)


class MskSession(object):
    """One login: the signed request, and the broker's answer."""

    def __init__(self, message):
        self._message = message
        self.done = False

    def step(self, challenge):
        """Return the signed request, and then ``None``."""
        if challenge is None and self._message is not None:
            message, self._message = self._message, None
            return message
        if self._message is not None or self.done or not challenge:
            raise exc.AuthenticationError("SASL AWS_MSK_IAM: the broker's response is not that of Amazon MSK")
        self.done = True
        return None


def checked(identity):
    """
    Return ``(access key id, secret access key, session token or None)``.

    :raises ValueError: when it is none; no part of it is in the error
    """
    parts = tuple(identity) if isinstance(identity, (tuple, list)) else ()
    if len(parts) == 2:
        parts += (None,)
    if len(parts) != 3 or not all(isinstance(part, six.string_types) and part for part in parts[:2]):
        raise ValueError("credentials are (access key id, secret access key) or (..., session token), as text")
    return parts


def from_environment():
    """
    Return the credentials of the environment.

    :raises kiel.exc.AuthenticationError: when there are none
    """
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise exc.AuthenticationError(
            "SASL AWS_MSK_IAM: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set; "
            "or pass credentials=, such as a function that asks botocore"
        )
    return key, secret, os.environ.get("AWS_SESSION_TOKEN") or None


def region_of(host):
    """Return the region of a broker, by its name or by the environment; None where neither says."""
    for domain in DOMAINS:
        if host.endswith(domain):
            parts = host[:-len(domain)].split(".")
            if len(parts) > 2 and parts[-2] in ("kafka", "kafka-serverless"):
                return parts[-1]
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def signed(host, region, key, secret, token=None, now=None):
    """Return the message: what is asked for, who asks, until when, and the signature of all that."""
    now = now or datetime.datetime(*time.gmtime()[:6])  # utcnow() is deprecated, and Python 2 has no zone to give now()
    day, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    scope = "/".join((day, region, SERVICE, "aws4_request"))
    query = {
        "Action": ACTION,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": key + "/" + scope,
        "X-Amz-Date": stamp,
        "X-Amz-Expires": EXPIRES,
        "X-Amz-SignedHeaders": "host",
    }
    if token:
        query["X-Amz-Security-Token"] = token
    request = "\n".join((
        "GET", "/", "&".join("%s=%s" % (name, quote(query[name], safe="-._~")) for name in sorted(query)),
        "host:" + host, "", "host", hashlib.sha256(b"").hexdigest(),
    ))
    text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(request.encode("utf-8")).hexdigest()))
    signing = ("AWS4" + secret).encode("utf-8")
    for part in (day, region, SERVICE, "aws4_request"):
        signing = hmac.new(signing, part.encode("utf-8"), hashlib.sha256).digest()
    message = dict((name.lower(), value) for name, value in query.items())
    message.update({
        "version": VERSION, "host": host, "user-agent": "kiel",
        "x-amz-signature": hmac.new(signing, text.encode("utf-8"), hashlib.sha256).hexdigest(),
    })
    return json.dumps(message, sort_keys=True, separators=(",", ":")).encode("utf-8")


__all__ = ["AwsMskIam", "MskSession", "from_environment", "region_of", "signed"]
