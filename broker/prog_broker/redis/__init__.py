"""The broker port over Redis streams (Redis 7.2, Valkey 8 or newer).

A topic of N partitions is N streams `<topic>.0` to `<topic>.<N-1>`; an entry has the fields `ce` and `data`.
"""
