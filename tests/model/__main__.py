"""``make model``: explore every model and every mutation and print a table, or one counterexample.

``python -m tests.model`` for all, ``python -m tests.model source NO_LOCK`` for one with its steps.
"""

import sys

from tests.model.cases import BASES, DEEP, MUTATIONS, Case
from tests.model.explore import Search, explore, missing


def main(arguments: list[str]) -> int:
    """Return 0 when every model holds and every mutation is found."""
    if (install := missing()) is not None:
        print(f"model: spin or gcc is not installed ({install})")
        return 2
    if arguments:
        return _one(Case(arguments[0], arguments[1:], rule="mutation"))
    print(f"{'model':<28}{'states':>11}{'depth':>8}{'seconds':>9}  result")
    results = [_whole(case) for case in (*BASES, *DEEP)]
    print(f"\n{'taken out':<64}{'states':>9}{'seconds':>9}  counterexample")
    results += [_mutated(case) for case in MUTATIONS]
    return 0 if all(results) else 1


def _one(case: Case) -> int:
    search = explore(case)
    print(*search.trail, search.found or "no counterexample", sep="\n")
    return 0


def _whole(case: Case) -> bool:
    search = explore(case)
    is_good = holds(search)
    result = "holds, all states" if is_good else search.found or "search not complete"
    print(f"{case.name:<28}{search.states:>11,}{search.depth:>8}{search.seconds:>9.1f}  {result}")
    return is_good


def _mutated(case: Case) -> bool:
    search = explore(case)
    result = f"{search.steps} steps" if search.found else "NONE: the rule is not needed here"
    what = f"{case.model}: {case.rule}"
    print(f"{what:<64}{search.states:>9,}{search.seconds:>9.1f}  {result}")
    return search.found is not None


def holds(search: Search) -> bool:
    """Say whether all states were seen and every claim held in each."""
    return search.is_complete and search.found is None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
