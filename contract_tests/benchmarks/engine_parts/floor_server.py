"""Serves the floor with plain uvicorn: the event loop that the gateway uses, none of its guards."""

import os

import uvicorn

from contract_tests.benchmarks.engine_parts.floor_app import app
from gateway.serving import configured

if __name__ == "__main__":
    loop = configured(app).loop
    port = int(os.environ["PORT"])  # noqa: TID251 - told by the benchmark
    uvicorn.run(
        app, port=port, loop=loop, http="httptools", ws="none", lifespan="off", access_log=False, log_level="error"
    )
