// Subtasks and partitions that rest: what they answer, what wakes them, and that an image is never
// gone on from once anything new has left.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { encodeRows } from "../../format/batch.ts";
import type { JobConfig } from "../../format/config.ts";
import { attempt, checkpointId, objectName, offset, type TaskId } from "../../format/ids.ts";
import { restMin } from "../../format/limits.ts";
import type { TopicAppend } from "../../format/messages.ts";
import { inputChannels } from "../../format/plan.ts";
import { filesOf } from "../../format/state-handle.ts";
import { ImageRows } from "../../task/image.ts";
import { faults, Gate, hangs, heal, seen } from "./faults.ts";
import { HandJob } from "./hand-job.ts";
import { becomes, killPartition, killSubtask, partitionOf, Producer, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

beforeEach(() => {
  faults.readWait = 200;
});
afterEach(heal);

const patient = { timeout: 60_000 };

const inFiles = (config: JobConfig): JobConfig => ({
  ...config,
  checkpointing: { ...config.checkpointing, inlineThreshold: 0 },
});

/** A counting job that has counted some records and rests. */
async function resting(
  config: (of: JobConfig) => JobConfig = inFiles,
): Promise<{ job: HandJob; producer: Producer }> {
  const job = new HandJob(unusedCopy(), config);
  const producer = new Producer(job.topic);
  await job.deploy();
  await producer.send(60);
  await becomes(() => job.rows("latest"), producer.expected);
  await job.comesToRest();
  return { job, producer };
}

const alarmOf = (job: HandJob, task: TaskId): Promise<number | null> =>
  runInDurableObject(env.SUBTASK.getByName(job.name(task)), (_, { storage }) => storage.getAlarm());

describe("a resting job", () => {
  test.each(["memory", "sqlite"] as const)(
    "on %s is evicted whole, wakes by an append, and counts on without reading R2",
    patient,
    async (backend) => {
      const { job, producer } = await resting((of) => {
        const config = inFiles(of);
        return { ...config, state: { ...config.state, backend } };
      });
      for (const task of job.tasks) {
        expect(await job.heartbeat(task)).toMatchObject({
          kind: "ok",
          activity: { isIdle: true, cleanSince: 1 },
        });
        expect(await alarmOf(job, task)).toBeNull();
      }
      const metrics = await Promise.all(job.tasks.map((task) => job.heartbeat(task)));
      // Refused for an object on which anybody still holds a session.
      await job.evict();
      expect(await Promise.all(job.tasks.map((task) => job.heartbeat(task)))).toEqual(metrics);

      const bucketCalls = seen.bucketCalls.length;
      const failures = seen.failures.length;
      await producer.send(80);
      await becomes(() => job.rows("latest"), producer.expected);
      // Whoever had something to do has said so, has no image any more, and is watched again.
      const images = await Promise.all(job.tasks.map((task) => job.imageRows(task)));
      const awake = job.tasks.map((task) => job.name(task)).filter((_, at) => images[at] === 0);
      expect(awake).toContain(job.name(job.task("tally")));
      expect(awake).toContain(job.name(job.task("tally", 1)));
      // The request went to one partition, so the source of the other one had nothing to do.
      expect(awake).toHaveLength(5);
      await until("they say so", () => awake.every((name) => seen.actives.includes(name)));
      for (const task of job.tasks) {
        expect((await alarmOf(job, task)) !== null).toBe(awake.includes(job.name(task)));
      }
      expect(seen.bucketCalls.slice(bucketCalls)).toEqual([]);
      expect(seen.failures.slice(failures)).toEqual([]);

      // What is committed is what the checkpoint before the rest held, until the next one.
      const before = await job.rows("committed");
      expect(before.reduce((rows, row) => rows + row.rows, 0)).toBe(60);
      const next = await job.checkpoint();
      expect(await job.rows("committed")).toEqual(producer.expected);
      // A delta behind the segments of the checkpoint before the rest.
      const { keyed } = next.stateOf(job.task("tally"));
      expect(keyed.map(({ segments }) => segments.length)).toContain(2);
      expect(filesOf({ keyed, operator: [] }).some((path) => !path.includes("/2/"))).toBe(true);
    },
  );

  test("restores from the checkpoint after it like any other", patient, async () => {
    const { job, producer } = await resting();
    await job.evict();
    await producer.send(80);
    await becomes(() => job.rows("latest"), producer.expected);
    const { id, stateOf } = await job.checkpoint();
    await producer.send(10);
    job.attempt = attempt(2);
    await job.deploy({ checkpoint: id, stateOf });
    await becomes(() => job.rows("latest"), producer.expected);
  });

  test("rests again, and wakes again", patient, async () => {
    const { job, producer } = await resting();
    for (let round = 0; round < 2; round++) {
      await job.evict();
      await producer.send(30);
      await becomes(() => job.rows("latest"), producer.expected);
      await job.comesToRest();
      expect(await job.rows("committed")).toEqual(producer.expected);
    }
  });

  test("is read, asked and told what it knows without waking up", patient, async () => {
    const { job, producer } = await resting();
    await job.evict();
    const actives = seen.actives.length;
    const bucketCalls = seen.bucketCalls.length;
    expect(await job.rows("committed")).toEqual(producer.expected);
    for (const task of job.tasks) {
      const subtask = job.subtask(task);
      expect(await subtask.start(job.attempt)).toEqual({ kind: "ok" });
      expect(await subtask.notifyComplete(job.attempt, checkpointId(1))).toMatchObject({
        kind: "ok",
        activity: { isIdle: true, cleanSince: 1 },
      });
      expect(await subtask.notifyAborted(job.attempt, checkpointId(1))).toEqual({ kind: "ok" });
      expect(await subtask.rest(job.attempt, checkpointId(1))).toEqual({ kind: "resting" });
      expect(await job.imageRows(task)).toBeGreaterThan(0);
      expect(await alarmOf(job, task)).toBeNull();
    }
    // Nobody holds anything that was not held before.
    await job.evict();
    expect(await job.rows("committed")).toEqual(producer.expected);
    expect(seen.actives.slice(actives)).toEqual([]);
    expect(seen.bucketCalls.slice(bucketCalls)).toEqual([]);
  });

  test("wakes by a checkpoint, which holds what the one before did", patient, async () => {
    const { job, producer } = await resting();
    await job.evict();
    const { stateOf } = await job.checkpoint();
    expect(await job.rows("committed")).toEqual(producer.expected);
    for (const task of job.tasks) {
      expect(stateOf(task).keyed.flatMap(({ segments }) => segments).length).toBeLessThan(3);
      expect(seen.actives).toContain(job.name(task));
    }
    await producer.send(20);
    await becomes(() => job.rows("latest"), producer.expected);
  });

  test("wakes by a timer, at its time and not before", patient, async () => {
    const job = new HandJob("patient", inFiles);
    await job.deploy();
    // The event's number is the milliseconds until its key rings.
    const wait = restMin + 2_000;
    const due = Date.now() + wait;
    await partitionOf(job.topic, 0).append({
      batches: [{ rows: 1, bytes: encodeRows([{ key: "a", n: wait }]) }],
      digest: 0,
    });
    await until("the timer is set", async () => {
      const outcomes = await Promise.all(job.tasks.map((task) => job.heartbeat(task)));
      return outcomes.filter((one) => one.kind === "ok" && one.metrics.recordsIn > 0).length > 1;
    });
    await job.comesToRest();
    const alarms = await Promise.all(job.tasks.map((task) => alarmOf(job, task)));
    const clock = job.tasks[alarms.findIndex((alarm) => alarm !== null)]!;
    expect(alarms.filter((alarm) => alarm !== null)).toHaveLength(1);
    await job.evict();

    // An alarm that comes early finds nothing to do, and is set again.
    const stub = env.SUBTASK.getByName(job.name(clock));
    const actives = seen.actives.length;
    if (Date.now() < due - 1_000) {
      await runDurableObjectAlarm(stub);
      expect(seen.actives.slice(actives)).toEqual([]);
      expect(await job.imageRows(clock)).toBeGreaterThan(0);
      expect(await alarmOf(job, clock)).toBeGreaterThanOrEqual(due);
    }
    await becomes(() => job.table("rung", "latest"), [{ key: "a", seen: 1 }]);
    expect(Date.now()).toBeGreaterThanOrEqual(due);
    await until("it says so", () => seen.actives.includes(job.name(clock)));
    expect(await job.imageRows(clock)).toBe(0);
  });

  test("an evening in which only some rest is no evening lost", patient, async () => {
    const { job, producer } = await resting();
    // One subtask goes on, as its neighbours rest: what it is sent wakes those it sends to.
    const step = job.task("step");
    const [channel] = inputChannels(job.plan, step);
    const opened = await job.subtask(step).open({ attempt: job.attempt, channel: channel! });
    expect(opened.kind).toBe("open");
    await until("it says so", () => seen.actives.includes(job.name(step)));
    await producer.send(40);
    await becomes(() => job.rows("latest"), producer.expected);
  });

  test("is cancelled and leaves no image", patient, async () => {
    const { job } = await resting();
    await job.evict();
    for (const task of job.tasks) {
      await job.subtask(task).cancel(job.attempt);
      expect(await job.imageRows(task)).toBe(0);
      expect(await job.heartbeat(task)).toEqual({ kind: "unknown" });
    }
    const answer = await job.subtask(job.task("tally")).readTable({
      table: "tallies",
      read: "latest",
    });
    expect(answer).toEqual({ kind: "unknown" });
  });

  test("is replaced by a newer attempt, and refuses older ones", patient, async () => {
    const { job } = await resting();
    await job.evict();
    const task = job.task("tally");
    const subtask = job.subtask(task);
    const zombie = attempt(1);
    const deployment = {
      job: job.id,
      attempt: attempt(2),
      task,
      plan: job.plan,
      config: job.config,
    };
    expect(await subtask.deploy(deployment)).toEqual({ kind: "deployed" });
    expect(await job.imageRows(task)).toBe(0);
    const stale = { kind: "stale", current: 2 };
    expect(await subtask.rest(zombie, checkpointId(1))).toEqual(stale);
    expect(await subtask.appended(zombie, 0)).toEqual(stale);
    expect(await subtask.heartbeat(zombie)).toEqual(stale);
  });
});

describe("a subtask does not rest", () => {
  test("while anything is under way, unsaved or unread", patient, async () => {
    const job = new HandJob(unusedCopy(), inFiles);
    const producer = new Producer(job.topic);
    const pushes = { gate: new Gate(), senders: [] as TaskId[] };
    pushes.gate.open();
    faults.onPush = async ({ request }, forward) => {
      pushes.senders.push(request.channel.from);
      await pushes.gate.pass();
      await forward();
    };
    await job.deploy();
    const tally = job.task("tally");
    const rest = async (task: TaskId, checkpoint = 1): Promise<string> =>
      (await job.subtask(task).rest(job.attempt, checkpointId(checkpoint))).kind;

    // Nothing was saved.
    await job.idles();
    expect(await job.rest(checkpointId(1))).toEqual(job.tasks.map(() => "busy"));

    // A snapshot is on its way to R2.
    await producer.send(40);
    await becomes(() => job.rows("latest"), producer.expected);
    await job.idles();
    const gate = new Gate();
    faults.onPut = async (_, put) => {
      await gate.pass();
      return put();
    };
    const saving = job.checkpoint();
    await until("the upload has begun", () => gate.arrived > 0);
    expect(await rest(tally)).toBe("busy");
    gate.open();
    const { id } = await saving;
    await job.idles();

    // A frame is not settled.
    pushes.gate = new Gate();
    pushes.senders = [];
    await producer.send(40);
    await until("a push waits", () => pushes.gate.arrived > 0);
    const [sender] = pushes.senders;
    expect(await rest(sender!, id)).toBe("busy");
    pushes.gate.open();
    await becomes(() => job.rows("latest"), producer.expected);

    // Everything was processed, and is newer than the checkpoint.
    await job.idles();
    const idle = job.tasks.find(
      (task) => task.vertex === sender!.vertex && task.index !== sender!.index,
    );
    expect(await job.rest(id)).toEqual(
      job.tasks.map((task) => (job.name(task) === job.name(idle!) ? "resting" : "busy")),
    );
    const last = await job.checkpoint();
    await job.idles();
    expect(await job.rest(last.id)).toEqual(job.tasks.map(() => "resting"));
  });

  test(
    "whose partition does not answer, or answers when a checkpoint has passed",
    patient,
    async () => {
      faults.patience = 500;
      const job = new HandJob(unusedCopy());
      await job.deploy();
      await job.idles();
      const { id } = await job.checkpoint();
      await job.idles();
      const source = job.task("events");
      const rest = async () => (await job.subtask(source).rest(job.attempt, id)).kind;
      faults.onSubscribe = hangs;
      expect(await rest()).toBe("busy");

      faults.onSubscribe = async (subscribe) => {
        const answer = await subscribe();
        await job.checkpoint();
        return answer;
      };
      expect(await rest()).toBe("busy");
      expect(await job.imageRows(source)).toBe(0);
    },
  );

  test("with the memory lost, or in another attempt", patient, async () => {
    const job = new HandJob(unusedCopy());
    await job.deploy();
    const task = job.task("tally");
    await killSubtask(job.id, task);
    for (const of of [attempt(1), attempt(2)]) {
      const outcome = await job.subtask(task).rest(of, checkpointId(1));
      expect(outcome).toEqual({ kind: "unknown" });
    }
  });
});

describe("an image", () => {
  test("is gone before the first thing leaves that it does not hold", patient, async () => {
    const { job, producer } = await resting();
    await job.evict();
    const source = job.task("events");
    const other = job.task("events", 1);
    const victim = new Promise<TaskId>((resolve) => {
      faults.onPush = async ({ request }) => {
        resolve(request.channel.from);
        await new Promise(() => {});
      };
    });
    await producer.send(40);
    const sender = await victim;
    expect([source, other]).toContainEqual(sender);
    await killSubtask(job.id, sender);
    heal();
    // Its first frame has left, so what it rested on is history.
    expect(await job.imageRows(sender)).toBe(0);
    expect(await job.heartbeat(sender)).toEqual({ kind: "unknown" });
    const channel = { edge: 0, from: sender, to: sender };
    expect(await job.subtask(sender).open({ attempt: job.attempt, channel })).toEqual({
      kind: "unknown",
    });
    const failures = seen.failures.length;
    await runDurableObjectAlarm(env.SUBTASK.getByName(job.name(sender)));
    expect(seen.failures.slice(failures)).toMatchObject([{ name: "SubtaskLost", attempt: 1 }]);
  });

  test("that is damaged counts as lost memory", patient, async () => {
    const { job } = await resting();
    await job.evict();
    const task = job.task("tally");
    const failures = seen.failures.length;
    await runInDurableObject(env.SUBTASK.getByName(job.name(task)), (_, { storage }) => {
      const { bytes } = storage.sql
        .exec<{ bytes: ArrayBuffer }>("SELECT bytes FROM image WHERE blob = 1 AND part = 0")
        .one();
      new Uint8Array(bytes)[bytes.byteLength - 9]! ^= 1;
      storage.sql.exec("UPDATE image SET bytes = ? WHERE blob = 1 AND part = 0", bytes);
    });
    expect(await job.rows("committed")).not.toEqual([]);
    await until("it says so", () => seen.failures.length > failures);
    expect(seen.failures[failures]).toMatchObject({
      name: "SubtaskLost",
      message: expect.stringMatching(/image.*checksum/) as string,
    });
    expect(await job.heartbeat(task)).toEqual({ kind: "unknown" });
    expect(await job.imageRows(task)).toBe(0);
    expect(await alarmOf(job, task)).not.toBeNull();
  });

  test("of another program's code is not gone on from", patient, async () => {
    const { job } = await resting();
    await job.evict();
    const task = job.task("tally");
    const failures = seen.failures.length;
    // As if the image was made by a deployment whose program had another topology.
    await runInDurableObject(env.SUBTASK.getByName(job.name(task)), (_, { storage }) =>
      storage.transactionSync(() => {
        const rows = new ImageRows({
          exec: (query, ...bindings) => storage.sql.exec(query, ...bindings).toArray(),
          transaction: (work) => work(),
        });
        const { deployment, ...rest } = rows.read();
        const plan = { ...deployment.plan, fingerprint: "0".repeat(32) };
        rows.write({ ...rest, deployment: { ...deployment, plan } });
      }),
    );
    expect(await job.subtask(task).appended(job.attempt, 0)).toEqual({ kind: "unknown" });
    await until("it says so", () => seen.failures.length > failures);
    expect(seen.failures[failures]).toMatchObject({ fault: "otherCode", task });
  });
});

describe("a topic partition", () => {
  const append = (...rows: unknown[]): TopicAppend => ({
    batches: [{ rows: rows.length, bytes: encodeRows(rows) }],
    digest: 0,
  });
  /** A subtask that was never deployed: it answers `unknown`. */
  const subscription = (job: HandJob, from: number, of = 1) => ({
    job: job.id,
    task: job.task("events"),
    attempt: attempt(of),
    from: offset(from),
  });
  const stubOf = (job: HandJob) =>
    env.TOPIC_PARTITION.getByName(objectName.topicPartition(job.topic, 0));
  const subscriptions = (job: HandJob): Promise<number> =>
    runInDurableObject(stubOf(job), (_, { storage }) =>
      Number(storage.sql.exec("SELECT count(*) AS n FROM subscriptions").one()["n"]),
    );

  test("says when a subscriber is behind, and keeps one subscription of a subtask", async () => {
    const job = new HandJob(unusedCopy());
    const partition = partitionOf(job.topic, 0);
    await partition.append(append({ key: "a", n: 1 }));
    expect(await partition.subscribe(subscription(job, 0))).toBe("behind");
    expect(await subscriptions(job)).toBe(0);
    expect(await partition.subscribe(subscription(job, 1))).toBe("subscribed");
    expect(await partition.subscribe(subscription(job, 1, 2))).toBe("subscribed");
    expect(await partition.subscribe(subscription(job, 1))).toBe("subscribed");
    expect(await subscriptions(job)).toBe(1);
    const heard: unknown[] = [];
    faults.onAppended = async (appended) => {
      heard.push(await appended());
      return { kind: "stale", current: attempt(3) };
    };
    await partition.append(append({ key: "a", n: 2 }));
    await until("the subscription is gone", async () => (await subscriptions(job)) === 0);
    expect(heard).toEqual([{ kind: "unknown" }]);
  });

  test("calls until it is answered, and no append waits for that", patient, async () => {
    const job = new HandJob(unusedCopy());
    const partition = partitionOf(job.topic, 0);
    expect(await partition.subscribe(subscription(job, 0))).toBe("subscribed");
    let calls = 0;
    faults.onAppended = async () => {
      calls++;
      throw new Error("I am not to be reached.");
    };
    expect(await partition.append(append({ key: "a", n: 1 }))).toMatchObject({ kind: "appended" });
    await until("it was called", () => calls === 1);
    // The alarm stands, whatever became of the object meanwhile.
    await killPartition(job.topic, 0);
    const again = partitionOf(job.topic, 0);
    expect(await again.info()).toMatchObject({ next: 1 });
    await runDurableObjectAlarm(stubOf(job));
    expect(calls).toBe(2);
    const hung = new Gate();
    faults.onAppended = async (appended) => {
      calls++;
      await hung.pass();
      return appended();
    };
    const alarm = runDurableObjectAlarm(stubOf(job));
    await until("it was called again", () => calls === 3);
    expect(await again.append(append({ key: "a", n: 2 }))).toMatchObject({ kind: "appended" });
    expect(await subscriptions(job)).toBe(1);
    // A call that is never answered does not keep the next one from being made.
    await alarm;
    faults.onAppended = (appended) => appended();
    await runDurableObjectAlarm(stubOf(job));
    await until("the subscription is gone", async () => (await subscriptions(job)) === 0);
    hung.open();
    expect(
      await runInDurableObject(stubOf(job), (_, { storage }) => storage.getAlarm()),
    ).toBeNull();
  });
});
