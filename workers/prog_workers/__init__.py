"""The domains, one folder each: stateless consumers of commands and events."""
