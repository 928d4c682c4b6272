"""The three clients, rendered on the server: marketing site, account and admin console.

`mount_web(app)` adds their routes to the edge's application, which sets `app.state.web` to a `ports.WebServices`
before it serves. The rooms: `ports` (what the pages need), `ui` (what they share), `site`, `account`, `admin`.
"""

from prog_edge.web.mount import mount_web, page_for_error

__all__ = ["mount_web", "page_for_error"]
