"""
Watches that no secret is told: in what kiel logs, in the text of errors of logins, in the `repr` of requests.

Passwords, tokens and the like are noted as mechanisms are made and asked; short ones, such as "pw", are parts of too
many words to be looked for. `tests/conftest.py` fails the test in which one was told.
"""
from __future__ import absolute_import

import functools
import logging

import six

from kiel import exc
from kiel.clients.administering import tokens
from kiel.protocol import registry, request, response
from kiel.sasl import credentials

#: shorter ones are not looked for
LEAST = 8

#: arguments of mechanisms that are no secret
OPEN = ("username", "access_key", "region", "service", "principal", "extensions")

#: modules whose tests have all lines looked at, those for debugging too
LOUD = ("login", "renewal", "security", "mechanisms", "access", "oidc", "proxy", "kerberos", "sasl", "administering")


class Watch(logging.Handler):
    """The secrets that are known, and what was told of them."""

    def __init__(self):
        super(Watch, self).__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter())
        self.secrets = set()
        self.leaks = []

    def learn(self, name, value):
        """Note the value of a mechanism's argument."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, six.text_type) and len(value) >= LEAST and name not in OPEN:
            self.secrets.add(value)

    def look(self, place, text):
        """Note a leak when the text has a secret in it."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        for secret in self.secrets:
            if secret in text:
                self.leaks.append("%s tells a secret: %s" % (place, text.replace(secret, "<secret>")))

    def emit(self, record):
        """Look at a line of the log, with the traceback that it may have."""
        self.look("a line of %s" % record.name, self.format(record))

    # -- what is watched --

    def install(self):
        """Watch credentials, errors, requests and answers, and the log, for the whole run."""
        self._wrap(credentials, "checked", lambda result, args: self.learn(args[0], args[1]))
        self._wrap(credentials, "_make", lambda result, args: [self.learn(*item) for item in args[2].items()])
        self._wrap(tokens, "_text", lambda result, args: self.learn("hmac", result))
        for cls in exc.AuthenticationError, exc.CredentialsError:
            cls.__init__ = self._of_errors(cls)
        assert registry.MODULES
        for classes in request.classes, response.classes:
            for cls in classes.values():
                if cls.secrets:
                    cls.codec = self._of_parts(cls)
        logging.getLogger("kiel").addHandler(self)

    @staticmethod
    def _wrap(module, name, note):
        function = getattr(module, name)

        @functools.wraps(function)
        def wrapped(*args):
            result = function(*args)
            note(result, args)
            return result
        setattr(module, name, wrapped)

    def _of_errors(self, cls):
        def init(error, *args):
            super(cls, error).__init__(*args)
            self.look("an error's text", u" ".join(six.text_type(arg) for arg in args))
        return init

    def _of_parts(self, cls):
        watch, made = self, cls.codec

        def codec(version, *args):
            write, read = made(version, *args)

            def written(emit, part):
                watch.look("a request's repr", repr(part))
                return write(emit, part)
            return written, read
        return staticmethod(codec)
