"""Asks for a case with generated types: `python program.py http://127.0.0.1:8080/graphql`."""

import json
import sys
from decimal import Decimal

from minzhifa_client import Client
from minzhifa_client.enums import CaseStatus


def main(address: str) -> None:
    """Print what one query of data and one of the dictionary answer."""
    client = Client(url=address)
    case = client.federated().enforcement_case
    assert case is not None
    assert case.penalty_decisions
    decision = case.penalty_decisions[0]
    fine: Decimal | None = decision.fine_amount
    print(
        json.dumps(
            {
                "case": case.case_name,
                "isClosed": case.case_status is CaseStatus.CLOSED,
                "fine": str(fine),
                "decided": decision.decision_date.isoformat() if decision.decision_date else None,
                "parties": [party.party_name for party in case.parties or []],
                "sensitive": client.dictionary().data_elements.total_count,
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
