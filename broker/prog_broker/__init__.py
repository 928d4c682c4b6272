"""Publish, subscribe, inbox, outbox relay, retry and dead letters."""
