"""Versions of the API: a client that names a date goes on seeing what the API answered then.

`/v1` never breaks. Where a representation changes all the same, the change is a small step that goes both ways: older
requests become newer ones, newer answers become older ones. Routes know the newest version alone.

- `changes`  the steps, and the kinds of them
- `table`    the versions with their dates, and who has which
- `pinned`   a route that has changed, for clients of older versions

A client pins a version with `Prog-Version: DATE`. Without it, a person sees the newest, and an API key what was the
newest when it was made, so that a program goes on as it was written.
"""
