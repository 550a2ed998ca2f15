"""The daemon: folder watch, durable jobs, worker processes, control."""
