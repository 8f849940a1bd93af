"""litserve: JSON in, because it reads nothing else, and raw floats out; one run per batch of requests."""

import litserve
import numpy
from fastapi import Response
from session import INPUT, MAX_BATCH, OUTPUT, PORT, SHAPE, session


class Api(litserve.LitAPI):
    def setup(self, device):
        self.session = session()

    def decode_request(self, request):
        return numpy.asarray(request["latent"], numpy.float32).reshape(SHAPE)

    def batch(self, inputs):
        return numpy.stack(inputs)

    def predict(self, batch):
        return self.session.run([OUTPUT], {INPUT: batch})[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return Response(content=output.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    api = Api(max_batch_size=MAX_BATCH, batch_timeout=0.001)
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=PORT, generate_client_file=False)
