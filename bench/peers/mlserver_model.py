"""mlserver: the Open Inference Protocol over gRPC; one run per batch of requests."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from session import INPUT, OUTPUT, session


class Model(MLModel):
    async def load(self):
        self.session = session()
        return True

    async def predict(self, payload):
        batch = NumpyCodec.decode_input(payload.inputs[0])
        (output,) = self.session.run([OUTPUT], {INPUT: batch})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(OUTPUT, output)])
