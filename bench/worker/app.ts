// The Worker that everything is measured in: a deployment of the benchmarks' programs, and beside it
// objects written by hand. One request is one run of one contestant; what it came to is asked apart.
//   POST /bench/run/:contestant?rows=…         one run
//   POST /bench/reset/:contestant?rows=…       what earlier runs left behind is gone
//   GET  /bench/answer/:contestant?rows=…      [[user, {n, total}], …]
//   POST /bench/fill/:topic?rows=…             appends the rows to a topic, batches in turn
//   GET  /bench/checkpoints/:jobid             what the coordinator knows of the last of them
//   GET  /bench/committed/:jobid?checkpoint=…  when its manifest was stored, in milliseconds; null without one
//   POST /bench/count, /bench/counted          begins to count billed operations; what was counted
//   POST /bench/store/:files?bytes=…&times=…   so many files of so many bytes put at once, so many times
//   POST /bench/ping                           one call of an object that does nothing
//   POST /bench/bare                           parses NDJSON with Hono alone, and drops it
//   GET  /bench/processed/:jobid?uid=…&rows=…  answers when the operator has taken in so many rows

import { Hono } from "hono";
import { tidemark } from "tidemark/worker";

import { encodeRows } from "../../format/batch.ts";
import { checkpointId, type JobId, objectName } from "../../format/ids.ts";
import type { CoordinatorJobApi } from "../../format/job-status.ts";
import type { SubtaskApi, TopicPartitionApi } from "../../format/messages.ts";
import { manifestPath } from "../../format/paths.ts";
import type { CoordinatorEnv } from "../../coordinator/coordinator.ts";
import type { SubtaskEnv } from "../../task/shell/task-run.ts";
import type { TopicPartitionEnv } from "../../topic/topic-partition.ts";
import { batches, type Tally, talliesOf } from "../data.ts";
import { type ByHandEnv, shardsOf, type Splitter } from "./by-hand.ts";
import { beginCounting, counted, endCounting } from "./counted.ts";
import type { Echo } from "./probes.ts";
import { type LimitEnv, type LimitSender } from "./limit.ts";
import { ingested, partitions, programs } from "./programs.ts";
import { Window } from "./window.ts";

const app = tidemark({ jobs: programs, topics: [ingested] });

export const { Dispatcher } = app;

export class Coordinator extends app.Coordinator {
  constructor(ctx: DurableObjectState, env: CoordinatorEnv) {
    super(ctx, counted(ctx, env));
  }
}

export class Subtask extends app.Subtask {
  constructor(ctx: DurableObjectState, env: SubtaskEnv) {
    super(ctx, counted(ctx, env));
  }
}

export class TopicPartition extends app.TopicPartition {
  constructor(ctx: DurableObjectState, env: TopicPartitionEnv) {
    super(ctx, counted(ctx, env));
  }
}

export { PerUser, ShardedLog, ShardedSqlite, Splitter } from "./by-hand.ts";
export { LimitFolder, LimitSender } from "./limit.ts";
export { Echo } from "./probes.ts";

interface Objects<T> {
  getByName(name: string): T;
}

interface BenchEnv extends LimitEnv, ByHandEnv {
  readonly BUCKET: R2Bucket;
  readonly COORDINATOR: Objects<CoordinatorJobApi>;
  readonly SUBTASK: Objects<SubtaskApi>;
  readonly TOPIC_PARTITION: Objects<TopicPartitionApi>;
  readonly LIMIT_SENDER: Objects<LimitSender>;
  readonly SPLITTER: Objects<Splitter>;
  readonly ECHO: Objects<Echo>;
}

/** Milliseconds between two looks at a job, at least and at most. */
const lookEvery = { least: 20, most: 500 } as const;

/**
 * Each look is a call of every subtask, and costs the job time: so the next is half of the way to where
 * its pace would bring it to the end.
 */
function nextLook(taken: number, rows: number, millis: number): number {
  const left = taken === 0 ? 0 : (millis * (rows - taken)) / taken;
  return Math.min(Math.max(left / 2, lookEvery.least), lookEvery.most);
}

async function run(env: BenchEnv, contestant: string, rows: number): Promise<unknown> {
  const limit = env.LIMIT_SENDER.getByName("limit");
  const splitter = env.SPLITTER.getByName("splitter");
  switch (contestant) {
    case "limit":
      return await limit.run(rows);
    case "encode":
      return await limit.encode(rows);
    case "transfer":
      return await limit.transfer(rows);
    case "decode":
      return await limit.decode(rows);
    case "fold":
      return await limit.fold(rows);
    case "sharded-sqlite":
      return await splitter.sqlite(rows);
    case "sharded-log":
      return await splitter.log(rows);
    case "object-per-key":
      return await splitter.perUser(rows);
    default:
      throw new RangeError(`There is no contestant "${contestant}".`);
  }
}

async function reset(env: BenchEnv, contestant: string, rows: number): Promise<void> {
  switch (contestant) {
    case "limit":
      return await env.LIMIT_FOLDER.getByName("limit").reset();
    case "sharded-sqlite":
      await Promise.all(shardsOf(env.SHARDED_SQLITE).map((shard) => shard.reset()));
      return;
    case "sharded-log":
      await Promise.all(shardsOf(env.SHARDED_LOG).map((shard) => shard.reset()));
      return;
    case "object-per-key": {
      const window = new Window(64);
      for (const user of talliesOf(rows).keys()) {
        await window.add(env.PER_USER.getByName(user).reset());
      }
      return await window.empty();
    }
    default:
  }
}

async function answer(env: BenchEnv, contestant: string, rows: number): Promise<[string, Tally][]> {
  switch (contestant) {
    case "limit":
      return await env.LIMIT_FOLDER.getByName("limit").answer();
    case "sharded-sqlite":
      return await answersOf(shardsOf(env.SHARDED_SQLITE));
    case "sharded-log":
      return await answersOf(shardsOf(env.SHARDED_LOG));
    case "object-per-key": {
      const known: [string, Tally][] = [];
      for (const user of talliesOf(rows).keys()) {
        known.push([user, await env.PER_USER.getByName(user).answer()]);
      }
      return known;
    }
    default:
      throw new RangeError(`"${contestant}" has no answer.`);
  }
}

const answersOf = async (
  shards: readonly { answer(): Promise<[string, Tally][]> }[],
): Promise<[string, Tally][]> => (await Promise.all(shards.map((shard) => shard.answer()))).flat();

async function fill(env: BenchEnv, topic: string, rows: number): Promise<void> {
  const window = new Window();
  let batch = 0;
  for (const made of batches(rows)) {
    const name = objectName.topicPartition(topic, batch++ % partitions);
    const bytes = encodeRows(made);
    const appended = env.TOPIC_PARTITION.getByName(name).append({
      batches: [{ rows: made.length, bytes }],
      digest: 0,
    });
    await window.add(appended);
  }
  await window.empty();
}

async function store(env: BenchEnv, files: number, bytes: number, times: number): Promise<void> {
  const content = new Uint8Array(bytes).fill(97);
  for (let time = 0; time < times; time++) {
    const names = Array.from({ length: files }, (_, file) => `stored/${time}/${file}`);
    const onlyIf = { etagDoesNotMatch: "*" };
    await Promise.all(names.map((name) => env.BUCKET.put(name, content, { onlyIf })));
    await env.BUCKET.delete(names);
  }
}

async function processed(env: BenchEnv, job: string, uid: string, rows: number): Promise<number> {
  const details = await env.COORDINATOR.getByName(job).details();
  if (details === undefined) throw new Error(`There is no job ${job}.`);
  const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid))!;
  const names = Array.from({ length: vertex.parallelism }, (_, index) =>
    objectName.subtask(job as JobId, { vertex: vertex.id, index }),
  );
  const begunAt = Date.now();
  for (;;) {
    const beats = await Promise.all(
      names.map((name) => env.SUBTASK.getByName(name).heartbeat(details.attempt)),
    );
    const taken = beats.reduce(
      (sum, beat) => sum + (beat.kind === "ok" ? beat.metrics.recordsIn : 0),
      0,
    );
    if (taken >= rows) return taken;
    if (beats.every(({ kind }) => kind === "ok")) {
      await scheduler.wait(nextLook(taken, rows, Date.now() - begunAt));
      continue;
    }
    const { summary, attempt } = (await env.COORDINATOR.getByName(job).details())!;
    if (summary.phase === "FINISHED") return rows;
    if (attempt !== details.attempt || !["INITIALIZING", "RUNNING"].includes(summary.phase)) {
      throw new Error(`Job ${job} is ${summary.phase}, in attempt ${attempt}.`);
    }
    await scheduler.wait(lookEvery.least);
  }
}

async function bench(request: Request, env: BenchEnv): Promise<unknown> {
  const { pathname, searchParams } = new URL(request.url);
  const [, , what, which = ""] = pathname.split("/");
  const rows = Number(searchParams.get("rows"));
  switch (what) {
    case "run":
      return await run(env, which, rows);
    case "reset":
      return await reset(env, which, rows);
    case "answer":
      return await answer(env, which, rows);
    case "fill":
      return await fill(env, which, rows);
    case "store": {
      const [bytes, times] = ["bytes", "times"].map((name) => Number(searchParams.get(name)));
      return await store(env, Number(which), bytes!, times!);
    }
    case "ping":
      return await env.ECHO.getByName("echo").ping();
    case "count":
      return beginCounting();
    case "counted":
      return endCounting();
    case "checkpoints":
      return await env.COORDINATOR.getByName(which).checkpoints();
    case "committed": {
      const checkpoint = checkpointId(Number(searchParams.get("checkpoint")));
      const manifest = await env.BUCKET.head(manifestPath(which as JobId, checkpoint));
      return manifest?.uploaded.getTime();
    }
    case "processed":
      return await processed(env, which, searchParams.get("uid") ?? "", rows);
    default:
      throw new RangeError(`There is no route ${pathname}.`);
  }
}

const bare = new Hono().post("/bench/bare", async (c) => {
  const lines = (await c.req.text()).split("\n");
  let records = 0;
  for (const line of lines) {
    if (line === "") continue;
    JSON.parse(line);
    records++;
  }
  return c.json({ records });
});

export default {
  async fetch(request: Request, env: BenchEnv, ctx: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith("/bench/")) return app.fetch(request, env as never, ctx);
    if (pathname === "/bench/bare") return bare.fetch(request);
    try {
      return Response.json((await bench(request, env)) ?? null);
    } catch (error) {
      return Response.json({ error: String((error as Error).stack ?? error) }, { status: 500 });
    }
  },
};
