"""The admin console, for operators of the platform: lists across tenants, live figures, causal stories."""
