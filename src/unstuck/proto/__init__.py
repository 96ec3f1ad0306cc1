"""The wire messages of TensorFlow Serving's gRPC API, without TensorFlow.

``wire/*.proto`` are our own minimal definitions with TensorFlow's and TensorFlow Serving's field numbers and types: the
bytes are theirs. A message's official name is ours without ``unstuck.wire.`` in front
(``unstuck.wire.tensorflow.serving.PredictRequest``), so both live in one process. Fields that ours do not declare
survive a round trip as unknown fields.

After a change to a ``.proto`` file, run ``python -m tools.protos``, which writes ``wire/*_pb2.py`` and ``.pyi``.
"""
