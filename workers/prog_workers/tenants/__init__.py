"""Customers of the platform: tenants with their members, invitations, plan, limits and clock."""
