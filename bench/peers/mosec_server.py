"""mosec: raw floats in and out; one run per batch of requests."""

import numpy
from mosec import Server, Worker
from session import INPUT, MAX_BATCH, OUTPUT, SHAPE, session


class Model(Worker):
    def __init__(self):
        super().__init__()
        self.session = session()

    def deserialize(self, data):
        return numpy.frombuffer(data, numpy.float32).reshape(SHAPE)

    def serialize(self, data):
        return data.tobytes()

    def forward(self, data):
        return list(self.session.run([OUTPUT], {INPUT: numpy.stack(data)})[0])


if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=MAX_BATCH, max_wait_time=1)
    server.run()
