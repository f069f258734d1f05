"""What all connections of one client share."""
from __future__ import absolute_import

from kiel import constants, sasl as mechanisms
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
    :raises TypeError: when ``ssl``, ``sasl`` or ``proxy`` is anything else
    :raises ValueError: for a proxy of another kind
    """

    def __init__(self, client_id=constants.CLIENT_ID, connect_timeout=10, request_timeout=30, probe_timeout=2,
                 ssl=None, sasl=None, proxy=None, retry=None):
        self.client_id = client_id
        self.connect_timeout = connect_timeout
        self.request_timeout = request_timeout
        self.probe_timeout = probe_timeout
        self.ssl = tls.TLS() if ssl is True else tls.checked(ssl)
        self.sasl = mechanisms.checked(sasl)
        self.proxy = proxies.checked(proxy)
        #: in here, since subclasses of 0.9's clients may have a ``retry`` of their own
        self.retry = retry or Backoff()
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
