"""How a client shows its key."""

from unstuck.errors import InvalidRequest


def key_headers(api_key: str | None) -> dict[str, str]:
    """The header that carries the key or token ``api_key``; over gRPC it is metadata.

    Raises:
        InvalidRequest: no header can carry it. Not said is what it is.
    """
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise InvalidRequest("The API key has characters that no key has.", hint="Is it a file's name, or its content?")
    return {"authorization": f"Bearer {api_key}"}
