"""Whether a collection can hold a vector, in Qdrant's words: for stores that must know before they write."""

from service.errors import WrongInput
from service.model.points import SparseVector, VectorValue
from service.stores.configuration import VectorKind, VectorSpec


def check_vector(spec: VectorSpec, value: VectorValue, whose: str = "") -> None:
    """Raise ``WrongInput`` for a vector of another kind or size.

    ``whose`` ends the text of a wrong dimension: Qdrant names the vector when it writes, not when it searches.
    """
    if isinstance(value, SparseVector):
        if spec.kind is not VectorKind.SPARSE:
            raise WrongInput("Conversion between sparse and regular vectors failed")
        return
    if spec.kind is VectorKind.SPARSE:
        kind = "sparse" if value.ndim == 1 else "multi"
        raise WrongInput(f"Conversion between {kind} and regular vectors failed")
    got = value.shape[-1] if value.size else 0
    if got != spec.size:
        raise WrongInput(f"Vector dimension error: expected dim: {spec.size}, got {got}{whose}")
    if value.ndim != 1 and spec.kind is not VectorKind.MULTI:
        raise WrongInput("Conversion between multi and regular vectors failed")


def named(name: str) -> str:
    """Return the end of a message about the vector of this name."""
    return f" for vector '{name}'" if name else ""
