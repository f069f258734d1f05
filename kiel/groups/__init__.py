"""Groups that meet in Kafka itself: the classic protocol, and the next generation of KIP-848."""
