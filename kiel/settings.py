"""What all connections of one client share."""
from __future__ import absolute_import

from kiel import arguments, constants, sasl as mechanisms
from kiel.hooks import listen
from kiel.retry import Backoff
from kiel.security import proxy as proxies, tls


class Settings(object):
    """
    What all connections of one client share.

    :param client_id: the name that brokers log and set quotas for
    :param connect_timeout: seconds for dialling, TLS, version probe and login together
    :param request_timeout: seconds for an answer, on top of the wait that a request itself asks for
    :param probe_timeout: seconds in which a broker has to answer the version probe before it may be taken for an old
        one that never will
    :param ssl: what `kiel.ssl` makes, an `ssl.SSLContext`, or ``True`` for the system's authorities with the host name
        checked
    :param sasl: a mechanism of `kiel.sasl`, or one of the application's own
    :param proxy: the way to the brokers, ``"socks5://user:password@host:1080"`` or ``"http://..."``
    :param retry: the `kiel.retry.Backoff` of everything that is tried again
    :param hooks: objects that are told what happens, see `kiel.hooks`
    :raises TypeError: when ``ssl``, ``sasl``, ``proxy`` or ``hooks`` is anything else; for a ``client_id`` that is no
        text, a time-out that is no number, a ``retry`` that is no `kiel.retry.Backoff`
    :raises ValueError: for a proxy of another kind, for a time-out of less than a millisecond
    """

    def __init__(self, client_id=constants.CLIENT_ID, connect_timeout=10, request_timeout=30, probe_timeout=2,
                 ssl=None, sasl=None, proxy=None, retry=None, hooks=None):
        self.client_id = arguments.text("client_id", client_id)
        self.connect_timeout = arguments.seconds("connect_timeout", connect_timeout, least=0.001)
        self.request_timeout = arguments.seconds("request_timeout", request_timeout, least=0.001)
        self.probe_timeout = probe_timeout
        self.ssl = tls.TLS() if ssl is True else tls.checked(ssl)
        self.sasl = mechanisms.checked(sasl)
        self.proxy = proxies.checked(proxy)
        #: in here, since subclasses of 0.9's clients may have a ``retry`` of their own
        self.retry = Backoff() if retry is None else _checked_retry(retry)
        #: the `kiel.hooks.Hooks`; None where nobody listens, which may change (`kiel.telemetry`)
        self.hooks = listen(hooks)
        #: how many connections were opened
        self.opened = 0
        #: whether any broker of the cluster has answered ApiVersions: then none is taken for one too old to do so
        self.modern = False
        #: whether any broker has answered a request after its handshake: where none has, a login may be what is missing
        self.served = False
        #: the id of the cluster, once a broker has told it; see `kiel.identity`
        self.cluster_id = None
        #: (host, port) -> the address that got through, of names that stand for several (`kiel.dialling`)
        self.reached = {}
        #: whether a broker was found to be one that never answers ApiVersions: others are probed more briefly
        self.old = False

    def ssl_context(self):
        """Return the `ssl.SSLContext` to dial with, or ``None`` for plain text."""
        return tls.context_of(self.ssl)


def _checked_retry(retry):
    """
    Return what is a `kiel.retry.Backoff`, or does its work.

    :raises TypeError: for anything else
    """
    if not callable(getattr(retry, "start", None)):
        raise TypeError("retry has to be a kiel.retry.Backoff, not %r" % (retry,))
    return retry
