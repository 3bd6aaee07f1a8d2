"""A cancellation that somebody below has lost.

Until Python 3.13 an ``asyncio.TaskGroup`` whose child fails at the very moment its own task is cancelled raises the
child's error and forgets the cancellation. A loop that survives errors would then survive its end, too.

To be asked behind a group whose body awaits its children. Where a child fails after the body, Python 3.11 leaves its
own cancellation of the task counted, and the answer would be wrong.
"""

import asyncio


def end_if_cancelled() -> None:
    """Raise ``CancelledError`` when the current task was asked to end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
