"""Named points of the write path, so that a test can end the process at each of them; in production they do nothing."""

from collections.abc import Callable

from sqlalchemy import Connection

Points = Callable[[str], None]


def pass_by(name: str) -> None:
    """What happens at a point: nothing."""
    del name


def reach(connection: Connection, name: str) -> None:
    """This transaction has come to the point `name`."""
    points: Points | None = connection.get_execution_options().get("points")
    if points is not None:
        points(name)
