"""The gateway's layers around the application, outermost first:

gateway · crash · body_limit · content_type · head

They are plain ASGI: no request or response object is built for a request that passes. `gateway` does in one layer what
all requests need; its concerns are `head_fields`, `host_gate`, `client_address`, `security_headers`, `rate_headers`,
`overdue`, `metrics`, `access_log` and `denials`, a file each. `lane` leads plain requests past the others.
"""
