// Topics: `POST /topics/:topic/records`, `GET /topics`, `GET /topics/:topic`.
//   P1. A 2xx means every record of the request is durable, exactly once however often the request
//       was repeated under one Idempotency-Key.
//   P2. A refused request leaves no record. A key used for another body is found out before any
//       partition is written: the key's own partition is asked first, alone (it may get no rows).
//   P3. After a 503 the same request under the same key completes what is missing.

import { type Context, Hono } from "hono";
import * as z from "zod";

import { clientKeyBytesMax, ingestBodyBytesMax } from "../../format/limits.ts";
import type { AppendOutcome, TopicAppend } from "../../format/messages.ts";
import { murmur3 } from "../../format/murmur3.ts";
import type { Topic } from "../../stream/topic.ts";
import { bodyOf } from "../body.ts";
import { type Catalog, known } from "../catalog.ts";
import { serve } from "../contract/endpoint.ts";
import { named } from "../contract/named.ts";
import { type Env, topicPartition } from "../env.ts";
import { HttpError } from "../errors.ts";
import { type Batches, partitionOf, spread } from "../ingest.ts";
import { type BodyForm, readRecords } from "../../format/records.ts";

const topicParams = z.object({ topic: z.string() });
const topicAnswer = named(
  "TopicInfo",
  z.object({
    topic: z.string(),
    keyed: z.boolean(),
    partitions: z.array(
      z.object({ partition: z.int(), first: z.int(), next: z.int(), bytes: z.int() }),
    ),
  }),
);
const topicsAnswer = named("TopicsInfo", z.object({ topics: z.array(topicAnswer) }));
const appendAnswer = named(
  "AppendResponseBody",
  z.object({
    topic: z.string(),
    records: z.int(),
    partitions: z.array(z.object({ partition: z.int(), first: z.int(), count: z.int() })),
    duplicate: z.boolean(),
  }),
);

type Appended = Exclude<AppendOutcome, { kind: "conflict" }> & { readonly partition: number };

export function topicRoutes({ topics }: Catalog): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    { method: "get", path: "/topics", summary: "All topics.", answer: topicsAnswer },
    async ({ env }) => {
      const all = [...topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      return { topics: await Promise.all(all.map((topic) => describe(env, topic))) };
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/topics/:topic",
      summary: "A topic and the offsets of its partitions.",
      params: topicParams,
      answer: topicAnswer,
    },
    ({ env, params }) => describe(env, known("topic", topics, params.topic)),
  );

  const append = {
    method: "post",
    path: "/topics/:topic/records",
    summary: "Appends records: NDJSON, or a JSON array. All of them, or none.",
    params: topicParams,
    body: "application/x-ndjson",
    answer: appendAnswer,
  } as const;
  serve(routes, append, async ({ c, params }) => {
    const topic = known("topic", topics, params.topic);
    const key = idempotencyKeyOf(c);
    const body = await bodyOf(c.req.raw, { bytesMax: ingestBodyBytesMax });
    const read = readRecords(body, formOf(c.req.header("Content-Type") ?? ""));
    if (read.kind === "refused") throw new HttpError(read.status, read.reason);

    const unkeyed =
      key === undefined
        ? Math.floor(Math.random() * topic.partitions)
        : partitionOf(key, topic.partitions);
    const split = spread(read.records, topic, unkeyed);
    if (split.kind === "refused") throw new HttpError(400, split.reason);

    const idempotency =
      key === undefined ? { digest: 0 } : { idempotencyKey: key, digest: murmur3(body) };
    const { byPartition, records } = split;
    const appended = await appendAll(c.env, topic, { byPartition, idempotency, keyHome: unkeyed });
    return {
      topic: topic.name,
      records,
      partitions: appended.map(({ partition, first, count }) => ({ partition, first, count })),
      duplicate: appended.every(({ kind }) => kind === "duplicate"),
    };
  });

  return routes;
}

async function describe(env: Env, topic: Topic<unknown>): Promise<z.input<typeof topicAnswer>> {
  const partitions = await Promise.all(
    Array.from({ length: topic.partitions }, async (_, partition) =>
      topicPartition(env, topic.name, partition).info(),
    ),
  );
  return { topic: topic.name, keyed: topic.key !== undefined, partitions };
}

interface Appends {
  readonly byPartition: ReadonlyMap<number, Batches>;
  readonly idempotency: Omit<TopicAppend, "batches">;
  /** The partition that knows the request's key first. */
  readonly keyHome: number;
}

async function appendAll(env: Env, topic: Topic<unknown>, appends: Appends): Promise<Appended[]> {
  const { byPartition, idempotency, keyHome } = appends;
  const key = idempotency.idempotencyKey;
  const one = async (partition: number, batches: Batches): Promise<Appended> => {
    const outcome = await topicPartition(env, topic.name, partition).append({
      batches,
      ...idempotency,
    });
    if (outcome.kind !== "conflict") return { ...outcome, partition };
    throw new HttpError(422, `Idempotency-Key "${key}" was used for another body; use a new key.`);
  };

  const appended: PromiseSettledResult<Appended>[] = [];
  const rest = new Map(byPartition);
  if (key !== undefined && (rest.size > 1 || !rest.has(keyHome))) {
    appended.push(...(await Promise.allSettled([one(keyHome, rest.get(keyHome) ?? [])])));
    rest.delete(keyHome);
  }
  if (appended.every(({ status }) => status === "fulfilled")) {
    const sent = [...rest].map(([partition, batches]) => one(partition, batches));
    appended.push(...(await Promise.allSettled(sent)));
  }

  const failed = appended.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  if (failed.length > 0) throw failureOf(failed, topic, key);
  return appended
    .flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))
    .filter(({ partition }) => byPartition.has(partition))
    .sort((a, b) => a.partition - b.partition);
}

function failureOf(
  failed: readonly unknown[],
  topic: Topic<unknown>,
  key: string | undefined,
): Error {
  const refused = failed.find((error) => error instanceof HttpError);
  if (refused !== undefined) return refused;
  console.error(`Appending to topic "${topic.name}" failed:`, ...failed);
  const advice =
    key === undefined
      ? "Some records may be kept; send an Idempotency-Key with every request so that repeating it is safe."
      : "Repeat the request with the same Idempotency-Key.";
  return new HttpError(503, `Topic "${topic.name}" did not take all records. ${advice}`);
}

function idempotencyKeyOf(c: Context): string | undefined {
  const key = c.req.header("Idempotency-Key");
  if (key === undefined) return undefined;
  if (/^[\x20-\x7e]+$/.test(key) && key.length <= clientKeyBytesMax) return key;
  throw new HttpError(
    400,
    `Idempotency-Key must be 1 to ${clientKeyBytesMax} printable ASCII characters.`,
  );
}

function formOf(contentType: string): BodyForm {
  switch (contentType.split(";", 1)[0]?.trim().toLowerCase()) {
    case "application/x-ndjson":
      return "lines";
    case "application/json":
      return "array";
    default:
      return "sniff";
  }
}
