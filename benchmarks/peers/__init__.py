"""One module a client, each doing the same tasks as its own users would for throughput; see `benchmarks.compare`."""
