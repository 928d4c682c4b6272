"""Pure decisions about money and time: values in, values out, no I/O and no clock."""
