"""Run in a copy of the project by test_made_up_element.py: asks the gateway for an element nobody wrote any Python for."""

import asyncio
import json
import tempfile
from pathlib import Path

from contract_tests.federation import federation
from gateway.returning import return_everything
from schema.registry import SPEC_FOLDER

CASE = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0086")'
LISTED = 'enforcementCases(where: {droneFlightNo: {eq: "FJ-7"}}, orderBy: [{field: DRONE_FLIGHT_NO}])'
QUESTIONS = (
    f"{{ {CASE} {{ sourceCaseNo droneFlightNo provenance {{ mode }} }} }}",
    f"{{ {LISTED} {{ totalCount nodes {{ sourceCaseNo droneFlightNo provenance {{ mode }} }} }} }}",
    '{ dataElement(id: "ZF10099") { fieldName title isFilterable } }',
)


async def main() -> None:
    """Print the answers, one a line: live, from the store after a data return, and from the dictionary."""
    with tempfile.TemporaryDirectory() as folder, federation(Path(folder)) as six:
        async with six.gateway() as gateway:
            definitions = gateway.gateway.definitions
            await asyncio.to_thread(return_everything, six.settings, definitions, lambda _: None)
            answers = [await gateway.ask(question) for question in QUESTIONS]
    print(json.dumps({"specification": str(SPEC_FOLDER), "answers": answers}))


if __name__ == "__main__":
    asyncio.run(main())
