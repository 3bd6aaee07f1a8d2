"""Endpoints that answer the distances among a sample of points, in two shapes."""

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.grouping import offsets_json, pairs_json
from service.api.qdrant.parameters import READ
from service.api.qdrant.requests import ApiRequest
from service.model.qdrant import (
    SearchMatrixOffsetsResponse,
    SearchMatrixPairsResponse,
    SearchMatrixRequest,
)
from service.queries.matrix import Matrix, distance_matrix

endpoints = Endpoints("Points", "/collections/{collection_name}/points/search/matrix")


@endpoints.on(
    "POST /pairs",
    "search_matrix_pairs",
    body=SearchMatrixRequest,
    result=SearchMatrixPairsResponse,
    parameters=READ,
)
async def pairs(request: ApiRequest) -> Response:
    """Every point of the sample with its nearest others."""
    return request.ok(pairs_json(await _matrix(request)))


@endpoints.on(
    "POST /offsets",
    "search_matrix_offsets",
    body=SearchMatrixRequest,
    result=SearchMatrixOffsetsResponse,
    parameters=READ,
)
async def offsets(request: ApiRequest) -> Response:
    """The same as a sparse matrix."""
    return request.ok(offsets_json(await _matrix(request)))


async def _matrix(request: ApiRequest) -> Matrix:
    wanted = await request.parsed(SearchMatrixRequest)
    work = distance_matrix(request.store, request.collection, wanted)
    return await request.in_time("SearchMatrix", work, composed=wanted)
