"""LitServe. Takes ``{"input": row}``, answers ``{"output": row}``."""

import litserve
import numpy as np
from saved_model import BATCHING, MAX_BATCH, MAX_WAIT_S, PORT, SavedModel, as_array


class Predictor(litserve.LitAPI):
    def setup(self, device):
        self.model = SavedModel()

    def decode_request(self, request):
        return as_array(request["input"])

    def batch(self, inputs):  # it and unbatch are called with batching only
        return np.stack(inputs)

    def predict(self, rows):
        return self.model(rows) if BATCHING else self.model(rows[np.newaxis])[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"output": output.tolist()}


if __name__ == "__main__":
    api = Predictor(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_S) if BATCHING else Predictor()
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=60, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
