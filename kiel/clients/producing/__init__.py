"""The parts of a `kiel.clients.producer.Producer`: from a message to the leader of its partition, and back."""
