"""
The codecs of messages, by the number that stands in a batch's attributes.

Each is a module with ``compress(data)`` and ``decompress(data, limit)``, bytes to bytes, whose
optional package is looked up when it is first needed. What comes from the network goes through
`decompress` here, which knows the bounds and the errors.
"""
from __future__ import absolute_import

import importlib

from kiel import constants, exc

#: most bytes that one batch may decompress to
LIMIT = 256 * 1024 * 1024


class TooLargeError(ValueError):
    """Compressed data that would give more bytes than the limit."""

    def __init__(self, limit):
        super(TooLargeError, self).__init__("more than %d bytes when decompressed" % limit)


class Codec(object):
    """
    One codec: its name, its number, and its functions, found when they are first used.

    :param package: what to install for it, ``None`` when Python itself has it
    """

    def __init__(self, flag, name, package=None):
        self.flag = flag
        self.name = name
        self.package = package

    def __repr__(self):
        return "Codec(%d, %r)" % (self.flag, self.name)

    @property
    def module(self):
        """The module that does it."""
        return importlib.import_module("kiel.compression." + self.name)

    @property
    def available(self):
        """Whether its package is installed."""
        return self.module.available()

    def require(self):
        """
        Return the module that does it, when it can.

        :raises kiel.exc.MissingCodecError: with what to install, when it can't
        """
        module = self.module
        if not module.available():
            raise exc.MissingCodecError(
                "%s needs a package that is not installed: pip install kiel[%s] (or %s)"
                % (self.name, self.name, self.package)
            )
        return module

    def compress(self, data):
        """Return the compressed form of bytes."""
        return self.require().compress(data)

    def decompress(self, data, limit=LIMIT):
        """
        Return what compressed bytes hold.

        :raises kiel.exc.CorruptMessageError: when it can't be read, or would be longer than
            ``limit`` bytes
        """
        module = self.require()
        try:
            return module.decompress(data, limit)
        except module.ERRORS as error:
            raise exc.CorruptMessageError("%s data that can't be read: %s" % (self.name, error))


#: number -> codec
codecs = {
    constants.GZIP: Codec(constants.GZIP, "gzip"),
    constants.SNAPPY: Codec(constants.SNAPPY, "snappy", "cramjam, on Python 2 python-snappy<0.7"),
    constants.LZ4: Codec(constants.LZ4, "lz4", "lz4"),
    constants.ZSTD: Codec(constants.ZSTD, "zstd", "zstandard"),
}


def get(flag):
    """
    Return the codec of a number.

    :raises kiel.exc.CorruptMessageError: if no codec has this number
    """
    codec = codecs.get(flag)
    if codec is None:
        raise exc.CorruptMessageError("no codec has the number %s" % flag)
    return codec


def compress(flag, data):
    """Compress bytes by the codec of a number."""
    return get(flag).compress(data)


def decompress(flag, data, limit=LIMIT):
    """Decompress bytes by the codec of a number."""
    return get(flag).decompress(data, limit)
