"""What a request to repair may ask for."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from service.api.repair import RepairRequest


def test_a_receipt_and_the_ledger_are_two_orders() -> None:
    """Neither of them is dropped in silence."""
    with pytest.raises(ValidationError, match="receipt or ledger, not both"):
        RepairRequest(receipt=uuid4(), ledger=True)
    assert RepairRequest(ledger=True).receipt is None
