"""The gateway's layers around the application, one concern a file, outermost first:

request_context · client_address · access_log · metrics · security_headers · session_cookie · rate_headers · drain ·
crash · body_limit · content_type · head

They are plain ASGI: no request or response object is built for a request that passes.
"""
