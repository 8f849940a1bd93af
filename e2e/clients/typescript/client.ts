// Calls a cloud-decoder with the bundles fashion and photo through the types that openapi-typescript has generated.
//
// usage: client.ts URL FRAME, where FRAME is the file of a frame of fashion. The server has the channels stable, which
// offers fashion, and old, which names a bundle that is not served. Prints one line per check that passed. The compiler
// checks this file before it runs: a schema that lost its type would fail there.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.d.ts";

type Schemas = components["schemas"];

const [url, path] = process.argv.slice(2);
assert(url !== undefined && path !== undefined);
const frame = await readFile(path);
// Without this header, the server answers with PNG if the only head makes images.
const client = createClient<paths>({ baseUrl: url, headers: { accept: "application/json" } });

/** Returns the data of a response; the types of the error responses are checked with it. */
function dataOf<T>(response: { data?: T; error?: Schemas["Error"] }): T {
  assert(response.data !== undefined, response.error?.error);
  return response.data;
}

function passed(check: string): void {
  console.log(`ok: ${check}`);
}

/** Describes the kind of a head; every property of HeadKind has its own type. */
function describeKind(kind: Schemas["HeadKind"]): string {
  if (kind.picture) return `image × ${kind.picture.scale}`;
  if (kind.reconstruct) return `image ${kind.reconstruct.width} × ${kind.reconstruct.height}`;
  if (kind.classify) return `${kind.classify.labels.length} classes`;
  return kind.score ? `score above ${kind.score.threshold}` : "numbers";
}

const { bundles } = dataOf(await client.GET("/v1/bundles"));
const kinds = bundles.flatMap((bundle) => bundle.heads.map((head) => describeKind(head.kind)));
assert.deepEqual(kinds, ["image 28 × 28", "image × 1", "image × 2"]);
passed("the bundles are listed");

// A text would be the bytes of a PNG file.
const decoded: Schemas["Decoded"] | string = dataOf(
  await client.POST("/v1/bundles/{name}/decode", {
    params: { path: { name: "fashion" }, query: { heads: "reconstruct" }, header: { "lopside-priority": "high" } },
    headers: { "content-type": "application/octet-stream" },
    body: frame as unknown as string,
    bodySerializer: (body) => body as unknown as BodyInit,
  }),
);
assert(typeof decoded !== "string" && "outputs" in decoded);
const [output] = decoded.outputs;
assert(output !== undefined && "png" in output && output.png.startsWith("iVBOR"));
passed("a frame is decoded");

const { channels } = dataOf(await client.GET("/v1/channels"));
const states = channels.map((channel) => ("problem" in channel ? channel.problem.length > 0 : channel.version));
assert.deepEqual(states, [1, true]);
passed("the channels are listed");
