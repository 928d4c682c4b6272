"""Protection against too much. What is refused here is answered with 429 and has left nothing behind.

admission · backlog · commands

Reads are never refused for what waits in the broker.
"""
