// For how long a subtask says that its outputs held it up, to the millisecond.

import { describe, expect, it } from "vitest";
import { planOf } from "../../coordinator/plan.ts";
import { encodeRows } from "../../format/batch.ts";
import { encodeBarrier, encodeData } from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, millis, type Seq, seq } from "../../format/ids.ts";
import { channelWindow } from "../../format/limits.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { count, defineJob, generate, type JobDefinition, table, topic } from "tidemark";

interface Tick {
  readonly user: string;
}

const tick: Tick = { user: "u" };
const data = encodeData(encodeRows([tick]));
const checkpoint = checkpointId(1);

const relayed = defineJob(
  "relayed",
  (env) => {
    env
      .from(topic<Tick>("ticks", { partitions: 2 }), { uid: "ticks" })
      .rebalance()
      .map((row) => row, { uid: "relay" })
      .keyBy((row) => row.user)
      .aggregate({ n: count() }, { uid: "sums" })
      .to(table("sums"), { uid: "out" });
  },
  { parallelism: 2, bufferTimeout: 0, checkpointing: { interval: 100, inlineThreshold: "1 mb" } },
);

const paced = defineJob(
  "paced",
  (env) => {
    env
      .from(
        generate(() => tick, { rows: 1_000, rowsPerSecond: 10 }),
        { uid: "relay" },
      )
      .keyBy((row) => row.user)
      .aggregate({ n: count() }, { uid: "sums" })
      .to(table("sums"), { uid: "out" });
  },
  { bufferTimeout: 0 },
);

/** The first subtask that runs "relay", its channels open, none of its frames settled. */
class Relay {
  readonly task: Task;
  readonly #expected: number[];
  #unsettled: { readonly channel: number; readonly seq: Seq }[] = [];

  constructor({ graph }: JobDefinition = relayed) {
    const plan = planOf(graph);
    const vertex = plan.vertices.find(({ operators }) => operators.includes("relay"))!;
    const deployment: TaskDeployment = {
      job: jobIdFrom(new Uint8Array(16)),
      attempt: attempt(1),
      task: { vertex: vertex.id, index: 0 },
      plan,
      config: graph.config,
    };
    this.task = new Task(deployment, graph, undefined, millis(0));
    this.#expected = this.task.inputs.map(() => 0);
    this.#perform(this.task.start(millis(0)));
    for (const channel of this.task.outputs.keys()) {
      this.#perform(this.task.reopened(channel, seq(0), millis(0)));
    }
  }

  push(channel: number, frame: Uint8Array, now: number): void {
    const next = seq(this.#expected[channel]!++);
    this.#perform(this.task.receive(channel, next, frame, millis(now)).effects);
  }

  /** As many frames as leave one that has no room. */
  fill(channel: number, now: number): void {
    for (let n = 0; n <= channelWindow; n++) this.push(channel, data, now);
  }

  tick(now: number): void {
    this.#perform(this.task.tick(millis(now)));
  }

  settleOne(now: number): void {
    const settled = this.#unsettled.shift()!;
    this.#perform(this.task.settled(settled.channel, settled.seq, millis(now)));
  }

  settleAll(now: number): void {
    while (this.#unsettled.length > 0) this.settleOne(now);
  }

  heldUp(now: number): number {
    return this.task.metricsAt(millis(now)).backPressuredTime;
  }

  #perform(effects: readonly TaskEffect[]): void {
    for (const effect of effects) if (effect.kind === "push") this.#unsettled.push(effect);
  }
}

describe("a subtask whose outputs have no room", () => {
  it("is held up from when input waits until there is room for it", () => {
    const relay = new Relay();
    relay.fill(0, 10);
    // There is nothing that it could do.
    expect(relay.heldUp(20)).toBe(0);
    relay.push(0, data, 20);
    relay.push(1, data, 30);
    expect(relay.heldUp(50)).toBe(30);
    relay.settleOne(60);
    expect(relay.heldUp(60)).toBe(40);
    expect(relay.heldUp(70)).toBe(50);
    relay.settleOne(80);
    expect(relay.heldUp(1_000)).toBe(60);
    relay.push(1, data, 1_000);
    expect(relay.heldUp(1_005)).toBe(65);
  });

  it("is not held up by them where its input waits for a barrier", () => {
    const relay = new Relay();
    relay.push(0, encodeBarrier(checkpoint), 5);
    relay.fill(1, 10);
    relay.push(0, data, 20);
    expect(relay.heldUp(30)).toBe(0);
    relay.push(1, data, 40);
    expect(relay.heldUp(50)).toBe(10);
  });

  it("is held up as a generator from when its next rows are due", () => {
    const relay = new Relay(paced);
    let last = 0;
    for (let now = 0; relay.task.wakeAt !== undefined; now = relay.task.wakeAt ?? now) {
      relay.tick(now);
      last = now;
    }
    expect(relay.task.metrics.recordsIn).toBe(channelWindow + 1);
    expect(relay.heldUp(last + 100)).toBe(0);
    expect(relay.heldUp(last + 250)).toBe(150);
  });

  it("is not while it has any, and goes on counting after a rest", () => {
    const relay = new Relay();
    relay.fill(0, 10);
    relay.push(0, data, 10);
    relay.settleAll(25);
    for (const channel of [0, 1]) relay.push(channel, encodeBarrier(checkpoint), 30);
    relay.settleAll(35);
    const image = relay.task.image(checkpoint);
    expect(image.metrics.backPressuredTime).toBe(15);
    const woken = Task.fromImage(image, relayed.graph, millis(5_000));
    expect(woken.metricsAt(millis(6_000)).backPressuredTime).toBe(15);
  });
});
