"""Triton's Python backend: one run per batch of requests."""

import os
import sys

# The interpreter of the backend ignores PYTHONPATH.
sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)

import numpy  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402
from session import INPUT, OUTPUT, session  # noqa: E402


class TritonPythonModel:
    def initialize(self, args):
        self.session = session()

    def execute(self, requests):
        inputs = [triton.get_input_tensor_by_name(request, INPUT).as_numpy() for request in requests]
        batch = inputs[0] if len(inputs) == 1 else numpy.concatenate(inputs)
        (outputs,) = self.session.run([OUTPUT], {INPUT: batch})
        responses, start = [], 0
        for array in inputs:
            part = outputs[start : start + len(array)]
            start += len(array)
            responses.append(triton.InferenceResponse([triton.Tensor(OUTPUT, part)]))
        return responses
