"""What crosses a process boundary: messages, envelope, topics, ids, money and errors."""
