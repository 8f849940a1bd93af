"""kserve: the Open Inference Protocol over gRPC."""

import kserve
from session import INPUT, MODEL, OUTPUT, PORT, session


class Model(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.session = session()
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        (output,) = self.session.run([OUTPUT], {INPUT: payload.inputs[0].as_numpy()})
        tensor = kserve.InferOutput(name=OUTPUT, shape=list(output.shape), datatype="FP32")
        tensor.set_data_from_numpy(output, binary_data=True)
        return kserve.InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[tensor])


if __name__ == "__main__":
    import os

    http = int(os.environ["BENCH_SECOND_PORT"])
    server = kserve.ModelServer(http_port=http, grpc_port=PORT, enable_grpc=True, workers=1)
    server.start([Model(os.environ["BENCH_NAME"])])
