"""The platform API: one router a concept, request and response models beside it.

A route declares what its caller needs (`prog_edge.access`), reads through a domain's queries or sends one command
(`prog_edge.writes`), and answers with a model. Nothing else happens in a route.
"""
