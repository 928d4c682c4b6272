"""What anybody may fetch of a tenant's looks: its logo, and its colours as a stylesheet."""
