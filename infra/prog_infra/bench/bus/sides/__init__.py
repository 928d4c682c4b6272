"""The contestants, ours and the references; each runs in a process of its own (`prog_infra.bench.bus.side`)."""
