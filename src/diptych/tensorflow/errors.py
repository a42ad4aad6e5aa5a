"""``tf.errors``: TensorFlow's exceptions, and the engine's errors translated into them."""

from __future__ import annotations

from typing import Any

from diptych import errors as engine

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS = range(7)
(
    PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
    UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED,
) = range(7, 17)  # fmt: skip


class OpError(Exception):
    """What an operation failed with: ``message``, ``error_code``, and the graph's ``op`` if any."""

    __module__ = "tensorflow.errors"

    def __init__(
        self, node_def: Any, op: Any, message: str, error_code: int = UNKNOWN, *args: Any
    ) -> None:
        super().__init__(node_def, op, message, *args)
        self._node_def = node_def
        self._op = op
        self._message = message
        self._error_code = error_code

    @property
    def node_def(self) -> Any:
        return self._node_def

    @property
    def op(self) -> Any:
        return self._op

    @property
    def message(self) -> str:
        return self._message

    @property
    def error_code(self) -> int:
        return self._error_code

    @property
    def experimental_payloads(self) -> dict[str, bytes]:
        return {}

    def __str__(self) -> str:
        return str(self._message)


def _error(name: str, code: int, doc: str) -> type[OpError]:
    def __init__(self: Any, node_def: Any, op: Any, message: str, *args: Any) -> None:
        OpError.__init__(self, node_def, op, message, code, *args)

    body = {"__init__": __init__, "__module__": "tensorflow.errors", "__doc__": doc}
    return type(name, (OpError,), body)


CancelledError = _error("CancelledError", CANCELLED, "The operation was cancelled.")
UnknownError = _error("UnknownError", UNKNOWN, "The cause is not known.")
InvalidArgumentError = _error("InvalidArgumentError", INVALID_ARGUMENT, "An argument is illegal.")
DeadlineExceededError = _error("DeadlineExceededError", DEADLINE_EXCEEDED, "Time ran out.")
NotFoundError = _error("NotFoundError", NOT_FOUND, "What was asked for is not there.")
AlreadyExistsError = _error("AlreadyExistsError", ALREADY_EXISTS, "What was to be made is there.")
PermissionDeniedError = _error("PermissionDeniedError", PERMISSION_DENIED, "It is not allowed.")
UnauthenticatedError = _error("UnauthenticatedError", UNAUTHENTICATED, "Credentials are missing.")
ResourceExhaustedError = _error("ResourceExhaustedError", RESOURCE_EXHAUSTED, "Memory ran out.")
FailedPreconditionError = _error(
    "FailedPreconditionError", FAILED_PRECONDITION, "The system is not in the state it must be in."
)
AbortedError = _error("AbortedError", ABORTED, "The operation was aborted.")
OutOfRangeError = _error("OutOfRangeError", OUT_OF_RANGE, "Iteration went past the end.")
UnimplementedError = _error("UnimplementedError", UNIMPLEMENTED, "It is not implemented.")
InternalError = _error("InternalError", INTERNAL, "An invariant is broken.")
UnavailableError = _error("UnavailableError", UNAVAILABLE, "The service is not there now.")
DataLossError = _error("DataLossError", DATA_LOSS, "Data is lost or damaged.")


def invalid(op: str, message: str, name: Any = "") -> OpError:
    """InvalidArgumentError of an operation, in the form TensorFlow's kernels give it."""
    return InvalidArgumentError(None, None, f"{message} [Op:{op}] name: {name or ''}")


def translated(error: engine.DiptychError, op: str, name: Any = "") -> Exception:
    """The engine's error as TensorFlow's users catch it."""
    if isinstance(error, engine.GradientError):
        return RuntimeError(str(error))
    return invalid(op, str(error), name)


def dims(shape: Any) -> str:
    """A shape in the words of TensorFlow's kernels: ``[2,3]``."""
    return "[" + ",".join(map(str, shape)) + "]"
