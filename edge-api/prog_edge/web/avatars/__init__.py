"""The pictures that people are shown by."""
