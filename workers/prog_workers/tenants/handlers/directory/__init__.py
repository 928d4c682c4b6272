"""A tenant's directory, which its identity provider keeps over SCIM (infra/adr/0023-scim.md).

- `users`   entries come, change and go
- `groups`  groups come, change and go; which roles they give
- `access`  what an entry means for who is a member
- `links`   what a membership means for its entry
"""
