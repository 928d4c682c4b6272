"""The account: signing up and in, tenants with their people, and billing."""
