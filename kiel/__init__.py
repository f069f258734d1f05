"""kiel: a Kafka client for Tornado applications, on the application's own IOLoop."""
version_info = (1, 0, 0)

__version__ = ".".join(str(part) for part in version_info) + ".dev0"
