"""Public attributes that show, or set, what a client's objects have; and which names a subclass may take for itself."""
from __future__ import absolute_import


class View(object):
    """
    A public attribute that shows something of kiel's; kiel itself never looks at it.

    Unlike a property it can be shadowed: subclasses that were written for kiel 0.9, which had no such attribute, may
    use its name for what they like, in their class and in their instances.

    :param read: function of the client that returns what is shown
    """

    def __init__(self, read):
        self._read = read
        self.__doc__ = read.__doc__

    def __get__(self, client, owner=None):
        return self if client is None else self._read(client)


class Setting(object):
    """
    A public attribute that is one of the client's objects' own, and may be set.

    :param holder: the name by which the client has that object
    :param name: the attribute's name there
    :param doc: what it is
    """

    def __init__(self, holder, name, doc):
        self._holder = holder
        self._name = name
        self.__doc__ = doc

    def __get__(self, client, owner=None):
        return self if client is None else getattr(getattr(client, self._holder), self._name)

    def __set__(self, client, value):
        setattr(getattr(client, self._holder), self._name, value)


def refuse_taken(client):
    """
    Refuse a client that has an attribute, or whose class has one, by the name of a method that kiel calls itself.

    :raises TypeError: naming the attribute
    """
    cls = type(client)
    kiels = [base for base in cls.__mro__ if base.__module__.startswith("kiel.")]
    others = [base for base in cls.__mro__ if base not in kiels and base is not object]
    for place, names in [(base.__name__, vars(base)) for base in others] + [("an instance of " + cls.__name__,
                                                                             vars(client))]:
        for name in names:
            if name.startswith("_") and not name.startswith("__") or name == "attempt":
                if any(callable(vars(base).get(name)) for base in kiels):
                    raise TypeError("%s has a %s of its own, and that is the name of a method which kiel's clients "
                                    "call by themselves: give it another name" % (place, name))
