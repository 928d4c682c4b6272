"""Taking out of the log, of answers and of dead letters who an erased person was (infra/adr/0025-end-of-an-account.md).

- `scrubbing`  what a message says afterwards: pure
- `rows`       finding and writing the rows, as the role `prog_eraser`
"""
