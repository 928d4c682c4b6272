"""The email domain: mails from request to provider, who may not be written to, leads, and the development mailbox."""
