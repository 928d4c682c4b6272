"""What every process shares: settings, database, secrets, clock, logging and telemetry.

Nothing here knows a domain, a broker or HTTP.
"""
