"""Sends requests of every kind that Triton's Python client supports to a cloud-decoder with the bundle fashion.

usage: triton.py ADDRESS FRAMES, a folder of frames. Prints one line per check that passed.
"""

import asyncio
import pathlib
import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

MODEL = "fashion.reconstruct"
ADDRESS, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
FRAMES = [path.read_bytes() for path in sorted(FOLDER.glob("*.lps"))]


def frame_inputs(kind, count, binary=True):
    """The first frames as an input."""
    array = np.array(FRAMES[:count], dtype=np.object_).reshape(count, 1)
    tensor = kind.InferInput("frame", array.shape, "BYTES")
    tensor.set_data_from_numpy(array) if kind is grpc else tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


def latent_inputs(kind, array, binary=True):
    """An array as the input of latents."""
    tensor = kind.InferInput("latent", array.shape, "FP32")
    tensor.set_data_from_numpy(array) if kind is grpc else tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


def report_passed(check):
    print("ok:", check)


def refused(call, text):
    try:
        call()
    except InferenceServerException as error:
        assert text in error.message(), error
    else:
        raise AssertionError(f"not refused: {text}")


def synchronous(kind, expected, zeros):
    client = kind.InferenceServerClient(ADDRESS)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert not client.is_model_ready("nobody.nothing")
    as_json = {} if kind is http else {"as_json": True}
    metadata = client.get_model_metadata(MODEL, **as_json)
    assert metadata["inputs"][0]["name"] == "latent" and metadata["versions"] == ["1"], metadata
    config = client.get_model_config(MODEL, **as_json)
    assert (config if kind is http else config["config"])["name"] == MODEL, config
    names = [model["name"] for model in repository_index(client, as_json)]
    assert MODEL in names, names
    report_passed(f"{kind.__name__}: health, metadata, config, index")

    response = client.infer(MODEL, frame_inputs(kind, len(FRAMES)), request_id="seven", priority=1, timeout=5_000_000)
    assert response.get_response()["id"] == "seven" if kind is http else response.get_response().id == "seven"
    np.testing.assert_allclose(response.as_numpy("reconstruction"), expected, atol=1e-5)
    response = client.infer(MODEL, latent_inputs(kind, np.zeros((3, 32), np.float32)), model_version="1")
    np.testing.assert_allclose(response.as_numpy("reconstruction"), np.repeat(zeros, 3, axis=0), atol=1e-5)
    report_passed(f"{kind.__name__}: frames and latents")

    outputs = [kind.InferRequestedOutput("png"), kind.InferRequestedOutput("reconstruction", class_count=2)]
    response = client.infer(MODEL, frame_inputs(kind, 2), outputs=outputs)
    assert all(png.startswith(b"\x89PNG") for png in response.as_numpy("png").flatten())
    assert response.as_numpy("reconstruction").shape == (2, 2)
    report_passed(f"{kind.__name__}: chosen outputs, classification")

    for algorithm in ["gzip", "deflate"]:
        if kind is grpc:
            response = client.infer(MODEL, frame_inputs(kind, 4), compression_algorithm=algorithm)
        else:
            compression = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
            response = client.infer(MODEL, frame_inputs(kind, 4), **compression)
        np.testing.assert_allclose(response.as_numpy("reconstruction"), expected[:4], atol=1e-5)
    report_passed(f"{kind.__name__}: compression")

    before = client.get_inference_statistics(MODEL, **as_json)["model_stats"][0]["inference_count"]
    client.infer(MODEL, frame_inputs(kind, 5))
    after = client.get_inference_statistics(MODEL, **as_json)["model_stats"][0]["inference_count"]
    assert int(after) == int(before) + 5, (before, after)
    report_passed(f"{kind.__name__}: statistics")

    refused(lambda: client.infer("fashion.nothing", frame_inputs(kind, 1)), "nothing")
    refused(lambda: client.infer(MODEL, latent_inputs(kind, np.zeros((1, 31), np.float32))), "latent")
    refused(lambda: client.load_model("nobody"), "nobody")
    client.load_model("fashion")
    client.unload_model("fashion")
    refused(lambda: client.infer(MODEL, frame_inputs(kind, 1)), "fashion")
    client.load_model("fashion")
    client.infer(MODEL, frame_inputs(kind, 1))
    report_passed(f"{kind.__name__}: errors, load, unload")
    client.close()


def repository_index(client, as_json):
    response = client.get_model_repository_index(**as_json)
    return response["models"] if isinstance(response, dict) else response


def callbacks(expected):
    """Calls whose responses arrive later: gRPC's futures and streams, HTTP's threads."""
    responses = queue.Queue()
    client = grpc.InferenceServerClient(ADDRESS)
    for number in range(8):
        client.async_infer(MODEL, frame_inputs(grpc, 1), lambda result, error: responses.put((result, error)))
    for number in range(8):
        result, error = responses.get(timeout=30)
        assert error is None, error
        np.testing.assert_allclose(result.as_numpy("reconstruction"), expected[:1], atol=1e-5)
    report_passed("tritonclient.grpc: async_infer")

    client.start_stream(lambda result, error: responses.put((result, error)))
    for number in range(16):
        client.async_stream_infer(MODEL, frame_inputs(grpc, 1 + number % 3), request_id=str(number))
    client.async_stream_infer("fashion.nothing", frame_inputs(grpc, 1), request_id="wrong")
    received, errors = set(), 0
    for number in range(17):
        result, error = responses.get(timeout=30)
        if error is not None:
            errors += 1
            continue
        request = result.get_response().id
        np.testing.assert_allclose(
            result.as_numpy("reconstruction"), expected[: 1 + int(request) % 3], atol=1e-5
        )
        received.add(request)
    assert len(received) == 16 and errors == 1, (received, errors)
    client.stop_stream()
    client.close()
    report_passed("tritonclient.grpc: stream")

    client = http.InferenceServerClient(ADDRESS, concurrency=4)
    pending = [client.async_infer(MODEL, frame_inputs(http, 2)) for _ in range(8)]
    for response in pending:
        np.testing.assert_allclose(response.get_result().as_numpy("reconstruction"), expected[:2], atol=1e-5)
    client.close()
    report_passed("tritonclient.http: async_infer")


def plain_json(zeros):
    """Tensors as JSON, both ways."""
    client = http.InferenceServerClient(ADDRESS)
    outputs = [http.InferRequestedOutput("reconstruction", binary_data=False)]
    response = client.infer(MODEL, latent_inputs(http, np.zeros((1, 32), np.float32), binary=False), outputs=outputs)
    np.testing.assert_allclose(response.as_numpy("reconstruction"), zeros, atol=1e-5)
    client.close()
    report_passed("tritonclient.http: JSON")


async def asynchronous(kind, base, expected):
    client = kind.InferenceServerClient(ADDRESS)
    assert await client.is_model_ready(MODEL)
    responses = await asyncio.gather(*[client.infer(MODEL, frame_inputs(base, 1 + number % 4)) for number in range(12)])
    for number, response in enumerate(responses):
        np.testing.assert_allclose(response.as_numpy("reconstruction"), expected[: 1 + number % 4], atol=1e-5)
    if kind is grpc_aio:

        async def requests():
            for number in range(6):
                yield {"model_name": MODEL, "inputs": frame_inputs(base, 1), "request_id": str(number)}

        count = 0
        async for result, error in client.stream_infer(requests()):
            assert error is None, error
            np.testing.assert_allclose(result.as_numpy("reconstruction"), expected[:1], atol=1e-5)
            count += 1
        assert count == 6
    await client.close()
    report_passed(f"{kind.__name__}: gather")


def main():
    client = grpc.InferenceServerClient(ADDRESS)
    # One by one, so that the outputs of batches are compared with those of single frames.
    expected = np.concatenate(
        [
            client.infer(MODEL, [frame_input(frame)]).as_numpy("reconstruction")
            for frame in FRAMES
        ]
    )
    zeros = client.infer(MODEL, latent_inputs(grpc, np.zeros((1, 32), np.float32))).as_numpy("reconstruction")
    client.close()
    assert expected.shape == (len(FRAMES), 784) and expected.std() > 0.1
    synchronous(grpc, expected, zeros)
    synchronous(http, expected, zeros)
    callbacks(expected)
    plain_json(zeros)
    asyncio.run(asynchronous(grpc_aio, grpc, expected))
    asyncio.run(asynchronous(http_aio, http, expected))


def frame_input(frame):
    tensor = grpc.InferInput("frame", (1, 1), "BYTES")
    tensor.set_data_from_numpy(np.array([[frame]], dtype=np.object_))
    return tensor


main()
