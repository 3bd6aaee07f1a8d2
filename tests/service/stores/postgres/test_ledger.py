"""The ledger as an operator reads it, on a real Postgres."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from service.model.ids import PointId
from service.protocol.book import Line, LineState
from service.protocol.ledger import Intent, Place
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.ledger import PostgresBook
from tests.service.stores.postgres.staged import intent_of, registered, staged

UUID_ID = "0af76519-16cd-43dd-8448-eb211c80319c"


@pytest.fixture
def book(database: Database) -> PostgresBook:
    """The ledger of a fresh database."""
    return PostgresBook(database)


class Ledger:
    """Puts intents into the ledger, and ages and fails them as the protocol would over time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._control = PostgresControl(database)
        self._log = PostgresIntents(database)
        self.owner = UUID(int=0)

    async def add(
        self, name: str, *ids: PointId, age: float = 0.0, behind: Side = Side.TARGET
    ) -> Intent:
        """Add an intent that is so many seconds old."""
        if not self.owner.int:
            self.owner = await registered(self._control)
        _, states = await self._control.load()
        known = {state.name: state for state in states}
        state = known.get(name) or await staged(self._control, Stage.DUALWRITE, name)
        intent = intent_of(state, *ids, behind=behind)
        assert await self._log.insert([intent], owner=self.owner) == {intent.id}
        await self.execute(
            "UPDATE vecferry.intents SET created_at = now() - make_interval(secs => $2) WHERE id = $1",
            intent.id,
            age,
        )
        return intent

    async def fail(self, intent: Intent, *, dead: bool) -> None:
        """Note refusals."""
        await self.execute(
            "UPDATE vecferry.intents SET failures = 3, error = 'refused', failed_at = now(), dead = $2"
            " WHERE id = $1",
            intent.id,
            dead,
        )

    async def whole(self, name: str, *, failures: int = 0) -> UUID:
        """Add a change of a whole collection."""
        change = uuid4()
        await self.execute(
            "INSERT INTO vecferry.collection_intents (id, name, owner, behind, cause, failures)"
            " VALUES ($1, $2, $3, 'target', 'DELETE collection', $4)",
            change,
            name,
            self.owner,
            failures,
        )
        return change

    async def execute(self, statement: str, *arguments: object) -> None:
        """Run a statement of the test's own."""
        async with self._database.connection() as connection:
            await connection.execute(statement, *arguments)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """An empty ledger to be filled."""
    return Ledger(database)


async def _all(
    book: PostgresBook, collection: str | None = None, state: LineState | None = None
) -> Sequence[Line]:
    lines, last = await book.lines(collection=collection, state=state, after=None, limit=100)
    assert last is None
    return lines


async def test_a_line_says_everything_that_is_known(book: PostgresBook, ledger: Ledger) -> None:
    """Every id as the client knows it, the age by Postgres' clock, and the last refusal."""
    intent = await ledger.add("c", 7, UUID_ID, age=90, behind=Side.SOURCE)
    await ledger.fail(intent, dead=True)
    (line,) = await _all(book)
    assert line.age_seconds is not None
    assert 90 <= line.age_seconds < 100
    assert line == Line(
        id=intent.id, collection="c", generation=intent.generation, behind=Side.SOURCE,
        state=LineState.DEAD, cause="test", ids=(7, UUID_ID), is_whole=False, owed=True,
        owner=ledger.owner, age_seconds=line.age_seconds, failures=3, error="refused",
    )  # fmt: skip


async def test_changes_of_whole_collections_are_in_it(book: PostgresBook, ledger: Ledger) -> None:
    """They have no ids, and block a flip like any other line."""
    await ledger.add("c", 1)
    change = await ledger.whole("d")
    lines = {line.id: line for line in await _all(book)}
    whole = lines[change]
    assert (len(lines), whole.collection, whole.is_whole, whole.ids) == (2, "d", True, ())
    assert [line.id for line in await _all(book, "d")] == [change]


async def test_lines_are_found_by_collection_and_state(book: PostgresBook, ledger: Ledger) -> None:
    """Open until the first refusal, failing until the last one, then dead."""
    waiting, failing = await ledger.add("c", 1), await ledger.add("c", 2)
    dead, other = await ledger.add("c", 3), await ledger.add("d", 4)
    await ledger.fail(failing, dead=False)
    await ledger.fail(dead, dead=True)
    expected = {
        LineState.OPEN: [waiting], LineState.FAILING: [failing], LineState.DEAD: [dead],
    }  # fmt: skip
    for state, intents in expected.items():
        assert [line.id for line in await _all(book, "c", state)] == [each.id for each in intents]
    assert [line.id for line in await _all(book, "d")] == [other.id]
    assert await _all(book, "nowhere") == []


async def test_pages_lose_nothing_when_lines_go_meanwhile(
    book: PostgresBook, ledger: Ledger
) -> None:
    """Oldest first; also when the very line is settled behind which the next page begins."""
    ages = [50, 40, 30, 30, 30, 20, 10]
    intents = [await ledger.add("c", number, age=age) for number, age in enumerate(ages)]
    seen: list[UUID] = []
    after: Place | None = None
    while True:
        lines, after = await book.lines(collection=None, state=None, after=after, limit=2)
        seen += [line.id for line in lines]
        for line in lines:
            await ledger.execute("DELETE FROM vecferry.intents WHERE id = $1", line.id)
        if after is None:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == {intent.id for intent in intents}
    assert (seen[:2], seen[-2:]) == (
        [each.id for each in intents[:2]],
        [each.id for each in intents[-2:]],
    )


async def test_counts_are_by_collection_side_state_and_cause(
    book: PostgresBook, ledger: Ledger
) -> None:
    """With ids and the oldest age, largest first."""
    for number in range(3):
        await ledger.add("c", number, number + 10, age=60.0 - number)
    await ledger.fail(await ledger.add("c", 9), dead=True)
    await ledger.add("c", 8, behind=Side.SOURCE)
    tallies = await book.tallies(collection="c")
    assert [(t.behind, t.state, t.intents, t.ids) for t in tallies] == [
        (Side.TARGET, LineState.OPEN, 3, 6),
        (Side.SOURCE, LineState.OPEN, 1, 1),
        (Side.TARGET, LineState.DEAD, 1, 1),
    ]
    assert tallies[0].oldest_seconds is not None
    assert 60 <= tallies[0].oldest_seconds < 70
    assert await book.tallies(collection="d") == []


async def test_what_failed_is_tried_again_and_what_did_not_is_left_alone(
    book: PostgresBook, ledger: Ledger
) -> None:
    """All, a collection's, or those named; the last error stays to be read."""
    waiting, failing, dead, other = [
        await ledger.add(name, number) for number, name in enumerate("cccd")
    ]
    for intent, is_dead in ((failing, False), (dead, True), (other, True)):
        await ledger.fail(intent, dead=is_dead)
    assert await book.retry(collection=None, ids=[waiting.id, dead.id, uuid4()]) == 1
    states = {line.id: line for line in await _all(book)}
    assert (states[dead.id].state, states[dead.id].failures) == (LineState.OPEN, 0)
    assert states[dead.id].error == "refused"
    assert states[failing.id].state is LineState.FAILING
    assert await book.retry(collection="c", ids=None) == 1
    await ledger.whole("e", failures=2)
    assert await book.retry(collection=None, ids=None) == 2
    assert {line.state for line in await _all(book)} == {LineState.OPEN}
    assert await book.retry(collection=None, ids=None) == 0


async def test_what_is_being_tried_is_not_waited_for(
    book: PostgresBook, ledger: Ledger, database: Database
) -> None:
    """A resync that holds an intent, perhaps for as long as a store takes, does not hold up the operator."""
    held, free = await ledger.add("c", 1), await ledger.add("c", 2)
    for intent in (held, free):
        await ledger.fail(intent, dead=True)
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM vecferry.intents WHERE id = $1 FOR UPDATE", held.id)
        assert await book.retry(collection=None, ids=None) == 1
