"""Uses that do not pass yet; one that is named here and passes fails the run, so the list only gets shorter."""

PENDING = set("""
""".split())

#: the same for the modules of `test_interface`
MODULES = set()
