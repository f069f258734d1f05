"""Members of next-generation consumer groups (KIP-848, ConsumerGroupHeartbeat)."""
