"""The journal of acknowledged operations, as a killed process leaves it."""

import os
from pathlib import Path

from service.model.operations import ByIds, Delete
from service.stores.edge.journal import Journal


def numbers(journal: Journal) -> list[int]:
    """Return the numbers of what waits to be applied."""
    return [number for number, _ in journal.pending]


def test_numbers_grow_and_are_never_given_twice(tmp_path: Path) -> None:
    """A process that died after giving a number out and before applying it does not free the number."""
    first = Journal(tmp_path)
    assert [first.give_number(), first.give_number()] == [0, 1]
    first.mark_applied(0)
    assert Journal(tmp_path).give_number() == 2


def test_what_was_acknowledged_waits_until_it_is_applied(tmp_path: Path) -> None:
    """Applied operations do not run again, the others keep their order and their content."""
    journal = Journal(tmp_path)
    for number in range(4):
        assert journal.acknowledge(Delete(ByIds((number,)))) == number
    journal.mark_applied(0)
    journal.mark_applied(1)
    again = Journal(tmp_path)
    assert list(again.pending) == [(2, Delete(ByIds((2,)))), (3, Delete(ByIds((3,))))]
    again.mark_applied(3)
    assert numbers(again) == []
    assert (tmp_path / "journal").stat().st_size == 0
    assert Journal(tmp_path).give_number() == 4


def test_a_torn_entry_is_cut_off(tmp_path: Path) -> None:
    """Whatever part of the last entry is missing, the ones before it are kept and new ones follow."""
    journal = Journal(tmp_path)
    journal.acknowledge(Delete(ByIds((1,))))
    whole = (tmp_path / "journal").stat().st_size
    journal.acknowledge(Delete(ByIds((2,))))
    both = (tmp_path / "journal").stat().st_size
    journal.close()
    for size in range(both - 1, whole, -7):
        os.truncate(tmp_path / "journal", size)
        opened = Journal(tmp_path)
        assert numbers(opened) == [0]
        assert (tmp_path / "journal").stat().st_size == whole
        assert opened.acknowledge(Delete(ByIds((3,)))) >= 2
        assert len(Journal(tmp_path).pending) == 2
        opened.close()


def test_a_damaged_entry_ends_the_journal(tmp_path: Path) -> None:
    """A wrong checksum is not applied."""
    journal = Journal(tmp_path)
    journal.acknowledge(Delete(ByIds((1,))))
    journal.close()
    content = bytearray((tmp_path / "journal").read_bytes())
    content[-1] ^= 1
    (tmp_path / "journal").write_bytes(content)
    assert numbers(Journal(tmp_path)) == []
