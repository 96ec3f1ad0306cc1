from unstuck.proto.wire import inference_pb2 as _inference_pb2
from unstuck.proto.wire import management_pb2 as _management_pb2
from unstuck.proto.wire import metadata_pb2 as _metadata_pb2
from unstuck.proto.wire import predict_pb2 as _predict_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
