"""Reads of a collection that another instance changes: never as it was, whatever the statement looks like."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from service import epochs
from service.errors import CollectionNotFound
from service.model.operations import CreateIndex, CreateVector, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    DenseVectorConfig,
    DenseVectorNameConfig,
    Distance,
    FacetRequest,
    FieldCondition,
    Filter,
    HasVectorCondition,
    MatchAny,
    OrderBy,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    VectorParams,
)
from service.stores.postgres import catalog
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
