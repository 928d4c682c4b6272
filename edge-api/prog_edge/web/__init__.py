"""The three clients, rendered on the server: marketing site, account and admin console."""
