"""People: their accounts, credentials and sessions."""
