"""A cancellation that somebody below has lost.

Until Python 3.13 an ``asyncio.TaskGroup`` whose child fails at the very moment its own task is cancelled raises the
child's error and forgets the cancellation. A loop that survives errors would then survive its end, too.
"""

import asyncio


def end_if_cancelled() -> None:
    """Raise ``CancelledError`` when the current task was asked to end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
