"""Double-entry bookkeeping from CSV files."""

from ledgerly.dates import Period
from ledgerly.entries import Posting, Transaction, UnbalancedError
from ledgerly.importer import JournalError, read_csv
from ledgerly.ledger import Ledger
from ledgerly.money import Money

__all__ = [
    "JournalError",
    "Ledger",
    "Money",
    "Period",
    "Posting",
    "Transaction",
    "UnbalancedError",
    "read_csv",
]
