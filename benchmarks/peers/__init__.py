"""One module a client, each doing the same tasks the way its own users would for throughput; see `benchmarks.compare`."""
