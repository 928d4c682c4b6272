"""What runs by the clock: the cron table and due timers."""
