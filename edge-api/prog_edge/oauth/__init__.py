"""The platform as an OpenID provider (OAuth 2.0 with RFC 7636, 7009, 7662, 8414, 9207 and 9700; OpenID Connect Core).

- `clients`     registered clients, and the tokens with which they call the API
- `asking`      who a client is that asks for tokens, and how OAuth tells of what is wrong
- `requests`    what a client sends people with, and where they are sent back to
- `metadata`    what the provider says of itself
- `persons`     tokens about people

The endpoints are in `prog_edge.api.oauth`, the pages in `prog_edge.web.account.authorize_routes`.
"""
