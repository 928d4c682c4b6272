"""The customer story that `prog demo` drives over the public HTTP API of a running platform.

- `client`    requests that outlive a process being killed, and conditions to wait for
- `story`     the steps, from a visitor's address to a paying tenant, and the count at the end
- `timeline`  what happened, read back from the event log in words
- `report`    progress and results on the terminal
"""
