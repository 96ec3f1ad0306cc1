"""Where TensorFlow Serving contradicts itself: what a surface answers that the error tree alone would not.

Source: tensorflow_serving/model_servers/http_rest_api_handler.cc.
"""

from unstuck.errors import UnstuckError, VersionOverflow

# REST answers these with their status and no body at all: the handler returns before it writes its JSON.
_REST_WITHOUT_BODY = (VersionOverflow,)


def rest_body_is_empty(error: UnstuckError) -> bool:
    """Whether TensorFlow Serving's REST API gives no body for this error."""
    return isinstance(error, _REST_WITHOUT_BODY)
