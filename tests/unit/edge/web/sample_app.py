"""The pages over sample data: `python -m tests.unit.edge.web.sample_app [port]`.

Sign in with any address (`admin@…` is an operator) and the password `correct horse battery`.
"""

from __future__ import annotations

import sys

from fastapi import FastAPI, HTTPException
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from prog_contracts.errors import NotFound
from prog_edge.web import mount_web, page_for_error
from prog_edge.web.ports import WebServices
from tests.unit.edge.web.sample_backend import sample_services


def sample_app(services: WebServices | None = None) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.web = services or sample_services()
    mount_web(app)

    @app.exception_handler(StarletteHTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        problem = NotFound("There is nothing at this address.")
        page = await page_for_error(request, problem, error.status_code)
        return page or JSONResponse({"status": error.status_code}, status_code=error.status_code)

    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(sample_app(), port=int(sys.argv[1]) if len(sys.argv) > 1 else 8765, log_level="warning")
