"""What happens because time has passed: due timers, the tenants' test clocks, and housekeeping.

- `process`       the process: start and graceful end
- `leader`        which of several schedulers decides, and what it looks for
- `cron`          the table of periodic jobs
- `jobs`          the dramatiq actors
- `timers`        firing: a timer's command moves into the event log, exactly once
- `clocks`        walking a test clock from timer to timer
- `housekeeping`  clearing away what is past its time
"""
