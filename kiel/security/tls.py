"""
TLS: what clients take for ``ssl=``, and what to say when a certificate is not accepted.

A broker's certificate and host name are checked unless the application says otherwise in so many words.
"""
from __future__ import absolute_import

import logging
import os
import ssl

from kiel import exc

log = logging.getLogger(__name__)

#: what OpenSSL says of a broker's certificate, in lower case -> what to do about it; the first that is found counts
COMPLAINTS = (
    ("expired", "the certificate has to be renewed on the broker, or the clock here is wrong"),
    ("not yet valid", "check the clock here, and the certificate on the broker"),
    ("match", "check the host name, and the names in the broker's certificate"),
    ("mismatch", "check the host name, and the names in the broker's certificate"),
    ("not valid for", "check the host name, and the names in the broker's certificate"),
    ("self-signed certificate in", "the authority is not known: name it in ssl=kiel.ssl(cafile=...)"),
    ("self signed certificate in", "the authority is not known: name it in ssl=kiel.ssl(cafile=...)"),
    ("local issuer", "the authority is not known: name it in ssl=kiel.ssl(cafile=...)"),
    ("self-signed", "no authority vouches for it: name it in ssl=kiel.ssl(cafile=...) if it is the right one"),
    ("self signed", "no authority vouches for it: name it in ssl=kiel.ssl(cafile=...) if it is the right one"),
)
#: the advice where OpenSSL's words are none of those; Python 2.7 says no more than "certificate verify failed"
CHECK = "check the host name, the dates, and the authorities in ssl="

NO_PASSWORD = "the key is encrypted: password= is needed"


class TLS(object):
    """
    The TLS settings of a client, made by `kiel.ssl`, from files that may change while it runs.

    :param cafile: path of the authorities' certificates, PEM; without it and its kin the system's authorities count
    :param capath: directory of authorities, as OpenSSL hashes them
    :param cadata: the authorities as PEM text or DER bytes
    :param certfile: path of the client's own certificate with those of its issuers, PEM
    :param keyfile: path of its key; default: it is in ``certfile``
    :param password: of the key: text, bytes, or a function without arguments
    :param check_hostname: whether the broker's name or address has to be in its certificate
    :param ciphers: OpenSSL's notation of those allowed; default: Python's own choice
    :param minimum_version: an `ssl.TLSVersion`, from Python 3.7 on
    :raises TypeError: for a value of another type
    :raises ValueError: when a file can't be read or does not hold what it should
    """

    def __init__(self, cafile=None, capath=None, cadata=None, certfile=None, keyfile=None, password=None,
                 check_hostname=True, ciphers=None, minimum_version=None):
        for name, value in (("cafile", cafile), ("capath", capath), ("certfile", certfile), ("keyfile", keyfile)):
            if value is not None and not hasattr(value, "__fspath__") and not isinstance(value, (type(""), type(u""))):
                raise TypeError("kiel.ssl: %s must be a path, not %s" % (name, type(value).__name__))
        if keyfile is not None and certfile is None:
            raise TypeError("kiel.ssl: keyfile needs certfile, the certificate that it is the key of")
        if check_hostname not in (True, False):
            raise TypeError("kiel.ssl: check_hostname must be True or False, not %s" % type(check_hostname).__name__)
        self.cafile = _path(cafile)
        self.capath = _path(capath)
        self.cadata = cadata
        self.certfile = _path(certfile)
        self.keyfile = _path(keyfile)
        self._password = password
        self.check_hostname = check_hostname
        self.ciphers = ciphers
        self.minimum_version = minimum_version
        self._files = [path for path in (self.cafile, self.capath, self.certfile, self.keyfile) if path is not None]
        # what the files were when the context was made of them; looked at before each connection
        self._seen = self._look()
        self._refused = None
        try:
            self._context = self._make()
        except (EnvironmentError, ValueError) as error:  # ssl.SSLError is the former
            raise ValueError("%r can't be used: %s" % (self, error))

    def __repr__(self):
        shown = ["%s=%r" % (name, getattr(self, name)) for name in ("cafile", "capath", "certfile", "keyfile")
                 if getattr(self, name) is not None]
        shown += ["cadata=..."] if self.cadata is not None else []
        shown += ["password=..."] if self._password is not None else []
        shown += [] if self.check_hostname else ["check_hostname=False"]
        return "kiel.ssl(%s)" % ", ".join(shown)

    def context(self):
        """
        Return the `ssl.SSLContext` for a new connection, made anew when a file has changed.

        Certificate and key are written one after the other: while they do not go together the last good ones are used.
        """
        seen = self._look()
        if seen != self._seen and seen != self._refused:
            try:
                self._context = self._make()
            except (EnvironmentError, ValueError) as error:
                self._refused = seen
                log.warning("%r has changed but can't be used, the previous one stays in use: %s", self, error)
            else:
                self._seen = seen
                self._refused = None
                log.info("%r has changed: new connections use it", self)
        return self._context

    def _look(self):
        """Return what tells one state of the files from another."""
        return [_state(path) for path in self._files]

    def _make(self):
        """Return a context of the files as they are."""
        context = ssl.create_default_context(cafile=self.cafile, capath=self.capath, cadata=self.cadata)
        context.check_hostname = self.check_hostname
        if self.certfile is not None:
            try:
                context.load_cert_chain(self.certfile, self.keyfile, self._secret)
            except SystemError:  # Python 3.6 asks once more after `_secret` has raised, and stumbles over that
                raise ValueError(NO_PASSWORD)
        if self.ciphers is not None:
            context.set_ciphers(self.ciphers)
        if self.minimum_version is not None:
            context.minimum_version = self.minimum_version
        return context

    def _secret(self):
        """Return the key's password; without this OpenSSL would ask for it on the terminal, and wait."""
        password = self._password() if callable(self._password) else self._password
        if password is None:
            raise ValueError(NO_PASSWORD)
        return password


def checked(value):
    """
    Return what a client was given for ``ssl=``, if it is of the right type.

    :raises TypeError: for anything but None, True, False, an `ssl.SSLContext` or what `kiel.ssl` makes
    """
    if value is None or value is True or value is False or isinstance(value, (ssl.SSLContext, TLS)):
        if isinstance(value, ssl.SSLContext) and value.verify_mode != ssl.CERT_REQUIRED:
            log.warning("The context in ssl= does not verify the broker's certificate: a man in the middle could pose "
                        "as the broker")
        return value
    hint = ""
    if isinstance(value, (dict, type(""), type(u""))):
        hint = "; for files: ssl=kiel.ssl(cafile=..., certfile=..., keyfile=...)"
    elif callable(value):
        hint = ": call it"
    raise TypeError("ssl= must be True, an ssl.SSLContext or kiel.ssl(...), not %s%s" % (type(value).__name__, hint))


def context_of(value):
    """Return the `ssl.SSLContext` of a value that was `checked`; None for plain text."""
    if isinstance(value, TLS):
        return value.context()
    return value or None


def refusal(host, port, error):
    """Return the `kiel.exc.AuthenticationError` of a TLS error that is about a certificate, None for any other."""
    if not isinstance(error, (ssl.CertificateError, ssl.SSLError)):
        return None
    text = str(error).lower()
    if "alert" in text and ("certificate" in text or "unknown" in text):  # the broker's own complaint
        return exc.AuthenticationError(
            "%s:%d asks for a client certificate, or does not accept it: %s "
            "(pass one in ssl=kiel.ssl(certfile=..., keyfile=...), or load it into the context in ssl=)"
            % (host, port, error)
        )
    if not isinstance(error, ssl.CertificateError) and "certificate" not in text:
        return None
    advice = next((advice for words, advice in COMPLAINTS if words in text), CHECK)
    return exc.AuthenticationError("the certificate of %s:%d is not accepted: %s (%s)" % (host, port, error, advice))


def _path(value):
    """Return a path as text."""
    return value if value is None or not hasattr(value, "__fspath__") else value.__fspath__()


def _state(path):
    """Return a value that changes with the file, or with the target of a symbolic link; None if there is none."""
    try:
        stat = os.stat(path)
    except EnvironmentError:
        return None
    return stat.st_mtime, stat.st_size, stat.st_ino


__all__ = ["TLS", "checked", "context_of", "refusal"]
