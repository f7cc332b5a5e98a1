// A deployment whose objects count, in the isolate that outlives them, how often each was constructed,
// who came to rest, and what was read from the bucket.
//   GET  /idle/seen                 the counts; touches no object
//   POST /idle/touch/:jobid         calls every object of the job, as a probe would; answers its attempt

import { count, defineJob, sum, table, topic } from "tidemark";
import { tidemark } from "tidemark/worker";

import type { CoordinatorEnv } from "../../coordinator/coordinator.ts";
import { type Attempt, type CheckpointId, type JobId, objectName } from "../../format/ids.ts";
import type { CoordinatorJobApi } from "../../format/job-status.ts";
import type { RestOutcome, SubtaskApi, TopicPartitionApi } from "../../format/messages.ts";
import { tasksOf } from "../../format/plan.ts";
import type { SubtaskEnv } from "../../task/shell/task-run.ts";
import type { TopicPartitionEnv } from "../../topic/topic-partition.ts";
import type { Seen } from "./seen.ts";

interface Tick {
  readonly key: string;
  readonly n: number;
}

const partitions = 2;

const ticks = defineJob(
  "ticks",
  (env) => {
    env
      .from(topic<Tick>("ticks", { partitions, key: (tick) => tick.key }), { uid: "ticks" })
      .keyBy((tick) => tick.key)
      .aggregate({ rows: count(), sum: sum((tick) => tick.n) }, { uid: "tally" })
      .to(table("tallies"), { uid: "out" });
  },
  {
    parallelism: 2,
    bufferTimeout: 5,
    checkpointing: { interval: "1 s", inlineThreshold: 0 },
    restart: { strategy: "fixed-delay", attempts: 100, delay: 100 },
  },
);

const seen: Seen = { constructed: {}, resting: [], bucketReads: [] };

const constructed = (what: string, name = ""): void => {
  const key = `${what} ${name}`;
  seen.constructed[key] = (seen.constructed[key] ?? 0) + 1;
};

const watched = (bucket: R2Bucket): R2Bucket =>
  new Proxy(bucket, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (name === "get" || name === "head") seen.bucketReads.push(String(args[0]));
        return Reflect.apply(value, target, args);
      };
    },
  });

const app = tidemark({ jobs: [ticks] });

export const { Dispatcher } = app;

export class Coordinator extends app.Coordinator {
  constructor(ctx: DurableObjectState, env: CoordinatorEnv) {
    super(ctx, { ...env, BUCKET: watched(env.BUCKET) });
    constructed("coordinator", ctx.id.name);
  }
}

export class Subtask extends app.Subtask {
  constructor(ctx: DurableObjectState, env: SubtaskEnv) {
    super(ctx, { ...env, BUCKET: watched(env.BUCKET) });
    constructed("subtask", ctx.id.name);
  }

  override async rest(attempt: Attempt, checkpoint: CheckpointId): Promise<RestOutcome> {
    const outcome = await super.rest(attempt, checkpoint);
    if (outcome.kind === "resting") seen.resting.push(this.ctx.id.name ?? "");
    return outcome;
  }
}

export class TopicPartition extends app.TopicPartition {
  constructor(ctx: DurableObjectState, env: TopicPartitionEnv) {
    super(ctx, env);
    constructed("partition", ctx.id.name);
  }
}

type AppEnv = Parameters<typeof app.fetch>[1];

async function touch(env: AppEnv, job: JobId): Promise<number> {
  const stubs = env as unknown as Record<string, { getByName(name: string): unknown }>;
  const coordinator = stubs["COORDINATOR"]!.getByName(job) as CoordinatorJobApi;
  const { plan, attempt } = (await coordinator.details())!;
  for (const task of tasksOf(plan)) {
    const subtask = stubs["SUBTASK"]!.getByName(objectName.subtask(job, task)) as SubtaskApi;
    const outcome = await subtask.heartbeat(attempt);
    if (outcome.kind !== "ok") throw new Error(`Subtask ${task.index}: ${outcome.kind}`);
  }
  for (let partition = 0; partition < partitions; partition++) {
    const name = objectName.topicPartition("ticks", partition);
    await (stubs["TOPIC_PARTITION"]!.getByName(name) as TopicPartitionApi).info();
  }
  return attempt;
}

export default {
  async fetch(request: Request, env: AppEnv, ctx: ExecutionContext): Promise<Response> {
    const [, idle, what, job = ""] = new URL(request.url).pathname.split("/");
    if (idle !== "idle") return app.fetch(request, env, ctx);
    if (what === "seen") return Response.json(seen);
    return Response.json({ attempt: await touch(env, job as JobId) });
  },
};
