"""Triton's client, unmodified, in closed loops: a number of workers, each with one request in flight.

usage: triton_load.py OPTIONS, a JSON object (bench/src/serving/script_client.rs writes it). Prints "ready" after a warm-up,
waits for a line, sends requests for the given time, and prints its figures as JSON.
"""

import asyncio
import json
import sys
import time

import numpy as np

OPTIONS = json.loads(sys.argv[1])
ADDRESS, MODEL, NAMES = OPTIONS["address"], OPTIONS["model"], OPTIONS["tensors"]
VALUES = np.fromfile(OPTIONS["values"], np.float32).reshape(OPTIONS["shape"])
# Only the identity: the answers of a server that compresses for every client that lists gzip are not compressed.
UNCOMPRESSED = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.compression_enabled_algorithms_bitset", 1),
]


def grpc_call():
    """Returns a client of gRPC: its function for a request, and its function that ends it."""
    import tritonclient.grpc.aio as triton

    arguments = {} if OPTIONS["compression"] else {"channel_args": UNCOMPRESSED}
    client = triton.InferenceServerClient(ADDRESS, **arguments)
    tensor = triton.InferInput(NAMES[0], VALUES.shape, "FP32")
    tensor.set_data_from_numpy(VALUES)

    async def call():
        return (await client.infer(MODEL, [tensor])).as_numpy(NAMES[1]).nbytes

    return call, client.close


def http_call():
    """The same for HTTP."""
    import tritonclient.http.aio as triton

    headers = {} if OPTIONS["compression"] else {"Accept-Encoding": "identity"}
    client = triton.InferenceServerClient(ADDRESS, conn_limit=OPTIONS["concurrency"])
    tensor = triton.InferInput(NAMES[0], VALUES.shape, "FP32")
    tensor.set_data_from_numpy(VALUES, binary_data=OPTIONS["binary"])

    async def call():
        # The client changes the headers that it is given.
        result = await client.infer(MODEL, [tensor], headers=dict(headers))
        return result.as_numpy(NAMES[1]).nbytes

    return call, client.close


def raw_call():
    """The same for servers with a protocol of their own, through the library that the client uses for HTTP."""
    import aiohttp

    body = json.dumps({NAMES[0]: VALUES.ravel().tolist()}).encode() if OPTIONS["json"] else VALUES.tobytes()
    kind = "application/json" if OPTIONS["json"] else "application/octet-stream"
    headers = {"content-type": kind} | ({} if OPTIONS["compression"] else {"Accept-Encoding": "identity"})
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=OPTIONS["concurrency"]))

    async def call():
        async with session.post(f"http://{ADDRESS}{OPTIONS['path']}", data=body, headers=headers) as response:
            response.raise_for_status()
            return len(await response.read())

    return call, session.close


async def run_worker(call, end, latencies, failures):
    while (start := time.perf_counter()) < end:
        try:
            answered = await call() >= OPTIONS["output_bytes"]
            reason = "the answer is too short"
        except Exception as error:  # Every failure of the client counts.
            answered, reason = False, f"{type(error).__name__}: {error}"
        if answered:
            latencies.append(round((time.perf_counter() - start) * 1e6))
        else:
            failures.append(reason)


async def run_loops(call, seconds):
    latencies, failures, start = [], [], time.perf_counter()
    workers = [run_worker(call, start + seconds, latencies, failures) for _ in range(OPTIONS["concurrency"])]
    await asyncio.gather(*workers)
    return {
        "seconds": time.perf_counter() - start,
        "latencies_us": latencies,
        "failed": len(failures),
        "first_failure": failures[0] if failures else None,
    }


async def main():
    call, close = {"grpc": grpc_call, "http": http_call, "raw": raw_call}[OPTIONS["kind"]]()
    await run_loops(call, OPTIONS["warm_up"])
    print("ready", flush=True)
    sys.stdin.readline()
    figures = await run_loops(call, OPTIONS["seconds"])
    await close()
    print(json.dumps(figures), flush=True)


asyncio.run(main())
