"""kiel: a Kafka client for Tornado applications, on the application's own IOLoop."""
version_info = (1, 0, 0)

__version__ = ".".join(str(part) for part in version_info) + ".dev0"


def ssl(**settings):
    """
    Return TLS settings for ``ssl=`` of any client, from files that may be renewed while it runs.

    ``kiel.ssl(cafile="ca.pem", certfile="client.pem", keyfile="client.key", password=...)``; every name and what it
    takes: `kiel.security.tls.TLS`.

    :raises TypeError: for an unknown name, or a value of another type
    :raises ValueError: when a file can't be read or does not hold what it should
    """
    from kiel.security import tls  # not above: the version has to be had where nothing else is installed
    return tls.TLS(**settings)
