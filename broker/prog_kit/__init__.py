"""What every process shares: settings, database, tenancy, clock, logging, telemetry and secrets."""
