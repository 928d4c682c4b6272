"""The edge: HTTP requests become commands; pages and the API read through queries."""
