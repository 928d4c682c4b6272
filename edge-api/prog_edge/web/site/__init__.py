"""The marketing site: home, pricing, legal pages, and what machines ask for (robots, sitemap, manifest)."""
