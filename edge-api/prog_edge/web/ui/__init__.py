"""What the three clients share: layout, macros, rendering, sessions, form tokens, notices and the security headers."""
