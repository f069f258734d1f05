"""Hostile bytes: whatever a broker sends gives a value or a `kiel.exc.KielError`, in bounded time and memory."""
