"""The payments domain: customers, subscriptions, invoices, charges, dunning and the ledger behind them.

- `handlers`  use cases, one a file; `app` wires them to the process
- `rules`     pure decisions: periods, amounts, dunning steps
- `store`     all SQL of the write side; `queries` the read side that the edge may call
- `gateway`   the port to a payment provider, its sandbox and Stripe
- `pdf`       an invoice as a document
"""
