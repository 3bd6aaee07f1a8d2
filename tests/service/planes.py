"""A control plane on a real control table, without anything that runs beside it."""

from prometheus_client import CollectorRegistry

from service.control.plane import ControlPlane
from service.metrics import ProxyMetrics
from service.model.qdrant import CreateCollection
from service.stages import Stage
from service.stores.postgres.control import PostgresControl

CONFIG = CreateCollection.model_validate({"vectors": {"size": 2, "distance": "Dot"}})


async def started_plane(
    control: PostgresControl, *, default_stage: Stage = Stage.OFF
) -> ControlPlane:
    """Return a plane that has read the table once."""

    async def aliases() -> dict[str, str]:
        return {}

    plane = ControlPlane(
        control,
        default_stage=default_stage,
        load_aliases=aliases,
        metrics=ProxyMetrics(CollectorRegistry()),
    )
    await plane.start()
    return plane
