"""uvicorn with the settings this product relies on."""

import uvicorn
from starlette.applications import Starlette


def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight finish first. uvicorn's own access log stays off: ours has counts only."""
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning", server_header=False, loop="asyncio")
