// gRPC's client for Node.js, unmodified, in closed loops: a number of workers, each with one request in flight.
//
// usage: load.cjs OPTIONS, a JSON object (bench/src/serving/script_client.rs writes it). Prints "ready" after a warm-up,
// waits for a line, sends requests for the given time, and prints its figures as JSON. NODE_PATH is the folder of packages.

"use strict";

const { readFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const options = JSON.parse(process.argv[2]);
const definition = loader.loadSync(options.proto, { keepCase: true, longs: Number, enums: String, oneofs: true });
const { GRPCInferenceService } = grpc.loadPackageDefinition(definition).inference;
const client = new GRPCInferenceService(options.address, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
});
const request = {
  model_name: options.model,
  inputs: [{ name: options.tensors[0], datatype: "FP32", shape: options.shape }],
  raw_input_contents: [readFileSync(options.values)],
};

/** Sends a request; returns the reason if it is not answered. */
function call() {
  return new Promise((resolve) => {
    client.ModelInfer(request, (error, response) => {
      if (error) return resolve(`${error.code}: ${error.details}`);
      const output = response.raw_output_contents[0];
      return resolve(output && output.length >= options.output_bytes ? undefined : "the answer is too short");
    });
  });
}

async function runWorker(end, latencies, failures) {
  for (let start = performance.now(); start < end; start = performance.now()) {
    const reason = await call();
    if (reason === undefined) latencies.push(Math.round((performance.now() - start) * 1e3));
    else failures.push(reason);
  }
}

async function runLoops(seconds) {
  const [latencies, failures, start] = [[], [], performance.now()];
  const workers = Array.from({ length: options.concurrency }, () => runWorker(start + seconds * 1e3, latencies, failures));
  await Promise.all(workers);
  return {
    seconds: (performance.now() - start) / 1e3,
    latencies_us: latencies,
    failed: failures.length,
    first_failure: failures[0] ?? null,
  };
}

async function main() {
  await runLoops(options.warm_up);
  process.stdout.write("ready\n");
  await new Promise((resolve) => process.stdin.once("data", resolve));
  const figures = await runLoops(options.seconds);
  client.close();
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  process.stdin.destroy();
}

main();
