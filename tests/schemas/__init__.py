"""`kiel.schemas` against a registry of the tests' own, on real sockets."""
