"""Heartbeats from a thread and a connection of their own, which keep a member while the IOLoop is blocked."""
