"""Triton's Python backend: the requests of a batch in one run."""

import numpy
import triton_python_backend_utils as triton
from session import INPUT, OUTPUT, session


class TritonPythonModel:
    def initialize(self, args):
        self.session = session()

    def execute(self, requests):
        inputs = [triton.get_input_tensor_by_name(request, INPUT).as_numpy() for request in requests]
        batch = inputs[0] if len(inputs) == 1 else numpy.concatenate(inputs)
        (outputs,) = self.session.run([OUTPUT], {INPUT: batch})
        responses, start = [], 0
        for each in inputs:
            part = outputs[start : start + len(each)]
            start += len(each)
            responses.append(triton.InferenceResponse([triton.Tensor(OUTPUT, part)]))
        return responses
