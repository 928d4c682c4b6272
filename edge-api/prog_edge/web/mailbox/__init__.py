"""The development mailbox: every mail that the platform sent on this machine. It does not exist in production."""
