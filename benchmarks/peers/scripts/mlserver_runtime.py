"""MLServer: ``mlserver start FOLDER``. Takes and answers JSON of the Open Inference Protocol, version 2."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from saved_model import IS_TEXT, SavedModel, as_array


class Predictor(MLModel):
    async def load(self) -> bool:
        self._model = SavedModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        codec = StringCodec if IS_TEXT else NumpyCodec
        scores = self._model(as_array(codec.decode_input(payload.inputs[0])))
        output = NumpyCodec.encode_output(self._model.output_name, scores)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])
