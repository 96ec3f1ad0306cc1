"""Where TensorFlow Serving contradicts itself: what a surface answers that the error tree alone would not.

Source: tensorflow_serving/model_servers/http_rest_api_handler.cc, and predict_util.cc and classifier.cc in
tensorflow_serving/servables/tensorflow.
"""

from unstuck.errors import Code, UnknownSignature, UnstuckError, VersionOverflow

# REST answers these with their status and no body at all: the handler returns before it writes its JSON.
_REST_WITHOUT_BODY = (VersionOverflow,)


def rest_body_is_empty(error: UnstuckError) -> bool:
    """Whether TensorFlow Serving's REST API gives no body for this error."""
    return isinstance(error, _REST_WITHOUT_BODY)


def grpc_code(error: UnstuckError, method: str) -> Code:
    """The gRPC status code of ``error``, in an answer of ``method``."""
    if isinstance(error, UnknownSignature) and method.endswith("/Predict"):
        return Code.FAILED_PRECONDITION  # Classify and Regress say INVALID_ARGUMENT
    return error.code
