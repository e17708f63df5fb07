"""Where the servers under test find the upstream systems; told by the benchmark that starts them."""

import os

REST_VARIABLE, SOAP_VARIABLE = "BENCH_REST_URL", "BENCH_SOAP_URL"


def addresses() -> tuple[str, str]:
    """The base address of the REST systems and the endpoint of the SOAP service."""
    environment = os.environ  # noqa: TID251 - a benchmark's own
    return environment[REST_VARIABLE], environment[SOAP_VARIABLE]
