"""Task queues that people choose instead: dramatiq, taskiq and Celery, each run by its own command.

All acknowledge after handling, on the same server with the same append-only file, in one process as ours. The settings
are those that serve them best here: large prefetch, no results kept, no events sent.
"""
