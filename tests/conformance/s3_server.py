"""A server of S3's protocol (moto) that can go down, come back, and hold an answer up."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "models"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


class S3Server:
    """Listens on one port of this machine while it is up; what was put stays when it goes down.

    Attributes:
        held: while this is not empty, downloads of keys that end in it wait.
        waiting: set once such a download has begun.
        gets: how many objects were downloaded.
        lists: how often keys were listed.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._port = 0
        self.held = ""
        self.waiting = threading.Event()
        self.gets = self.lists = 0
        self.up()
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._port}"}
        self.client = boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=BUCKET)

    def up(self) -> None:
        self._server = make_server("127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Quiet)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def put(self, folder: Path, key: str) -> None:
        """Uploads the files in ``folder`` to ``key/…``."""
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            self.client.upload_file(str(file), BUCKET, f"{key}/{file.relative_to(folder)}")

    def remove(self, key: str) -> None:
        """All objects under ``key/``."""
        listed = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{key}/").get("Contents", [])
        for each in listed:
            self.client.delete_object(Bucket=BUCKET, Key=each["Key"])

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            is_list = "list-type" in environ["QUERY_STRING"]
            self.lists += is_list
            self.gets += not is_list
            if self.held and not is_list and environ["PATH_INFO"].endswith(self.held):
                self.waiting.set()
                threading.Event().wait(60)
        return self._app(environ, start_response)
