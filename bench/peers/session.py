"""The ONNX Runtime session of every Python server, with the settings that the bench passes in the environment."""

import os

import onnxruntime

MODEL = os.environ["BENCH_MODEL"]
PORT = int(os.environ["BENCH_PORT"])
MAX_BATCH = int(os.environ["BENCH_BATCH"])
INPUT = "latent"
OUTPUT = "output"
SHAPE = [int(extent) for extent in os.environ["BENCH_SHAPE"].split(",")]


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
