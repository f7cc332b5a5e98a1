// Barriers that overtake: when the aligner lets them, what of the frames on their way goes into the
// snapshot, and where it is after a restore. Names of Flink's tests stand where the rows of
// flink-fault-tests.md, 6.4 and 6.6, have a meaning here.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planOf } from "../../coordinator/plan.ts";
import { decodeRows, encodeRows } from "../../format/batch.ts";
import { decodeFrames, encodeFrames } from "../../format/channel-state.ts";
import type { CheckpointConfig } from "../../format/config.ts";
import { FormatError } from "../../format/format-error.ts";
import { atOnce, decodeFrame, encodeBarrier, encodeData, never } from "../../format/frame.ts";
import {
  attempt,
  type CheckpointId,
  checkpointId,
  jobIdFrom,
  millis,
  offset,
  type Seq,
  seq,
} from "../../format/ids.ts";
import { channelWindow } from "../../format/limits.ts";
import type { CheckpointAck, TaskDeployment } from "../../format/messages.ts";
import { filesOf, type TaskStateHandle } from "../../format/state-handle.ts";
import { count, defineJob, table, topic } from "../../stream/index.ts";
import { Aligner } from "../../task/alignment.ts";
import { placeChannels } from "../../task/channel-state.ts";
import { channelsOf, restoredChannel } from "../../task/former-rows.ts";
import { sharesOf } from "../../task/operator-state.ts";
import { CreditWindow } from "../../task/credit-window.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";

const id = (n: number): CheckpointId => checkpointId(n);
const barrier = (n: number, overtakesAt: number = atOnce) => ({ checkpoint: id(n), overtakesAt });

describe("Aligner, UnalignedCheckpointsTest", () => {
  it("the first barrier overtakes at once; on the other channels it is missing", () => {
    const aligner = new Aligner(3, "EXACTLY_ONCE");
    aligner.announce(1, barrier(1), millis(10));
    expect(aligner.overtake(millis(10))).toEqual({
      checkpoint: 1,
      startedAt: 10,
      open: [0, 1, 2],
      missing: new Set([0, 2]),
    });
    expect([0, 1, 2].some((channel) => aligner.isBlocked(channel))).toBe(false);
  });

  it("overtakes once; its barriers are dropped when it is their turn", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1), millis(10));
    aligner.overtake(millis(10));
    aligner.announce(1, barrier(1), millis(11));
    expect(aligner.overtake(millis(11))).toBeUndefined();
    expect(aligner.onBarrier(0, id(1), millis(12))).toEqual({ kind: "ignored" });
    expect(aligner.onBarrier(1, id(1), millis(12))).toEqual({ kind: "ignored" });
  });

  it("a newer barrier overtakes an older alignment and names it", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1, never), millis(10));
    aligner.onBarrier(0, id(1), millis(10));
    aligner.announce(1, barrier(2), millis(20));
    expect(aligner.overtake(millis(20))).toMatchObject({ superseded: 1, open: [0, 1] });
    expect(aligner.isBlocked(0)).toBe(false);
  });

  it("an aborted checkpoint does not overtake", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1, 50), millis(10));
    aligner.onAborted(id(1));
    expect(aligner.overtakesAt).toBe(never);
    expect(aligner.overtake(millis(60))).toBeUndefined();
    aligner.announce(1, barrier(1, atOnce), millis(60));
    expect(aligner.overtake(millis(60))).toBeUndefined();
  });
});

describe("Aligner, AlternatingCheckpointsTest", () => {
  it("aligns where every barrier is delivered in time", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1, 100), millis(10));
    aligner.onBarrier(0, id(1), millis(10));
    aligner.announce(1, barrier(1, 100), millis(40));
    expect(aligner.overtakesAt).toBe(100);
    expect(aligner.onBarrier(1, id(1), millis(50))).toEqual({ kind: "aligned", duration: 40 });
    expect(aligner.overtakesAt).toBe(never);
    expect(aligner.overtake(millis(200))).toBeUndefined();
  });

  it("switches after the timeout: blocked channels are free and have nothing to capture (B6)", () => {
    const aligner = new Aligner(3, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1, 100), millis(10));
    aligner.onBarrier(0, id(1), millis(10));
    aligner.announce(1, barrier(1, 100), millis(20));
    expect(aligner.overtake(millis(99))).toBeUndefined();
    expect(aligner.overtake(millis(100))).toEqual({
      checkpoint: 1,
      startedAt: 10,
      open: [1, 2],
      missing: new Set([2]),
    });
    expect(aligner.isBlocked(0)).toBe(false);
  });

  it("switches when a barrier comes that has switched upstream", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.announce(0, barrier(1, 100), millis(10));
    aligner.announce(1, barrier(1, atOnce), millis(20));
    expect(aligner.overtake(millis(20))).toMatchObject({ open: [0, 1], missing: new Set() });
  });

  it("aligned and unaligned checkpoints follow one another", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    for (let n = 1; n <= 6; n++) {
      const isUnaligned = n % 2 === 0;
      for (const channel of [0, 1]) {
        aligner.announce(channel, barrier(n, isUnaligned ? atOnce : never), millis(n));
        const overtaking = aligner.overtake(millis(n));
        expect(overtaking?.checkpoint).toBe(isUnaligned && channel === 0 ? n : undefined);
        const { kind } = aligner.onBarrier(channel, id(n), millis(n));
        expect(kind).toBe(isUnaligned ? "ignored" : channel === 0 ? "waiting" : "aligned");
      }
    }
  });
});

describe("CreditWindow, overtaken", () => {
  const data = (n: number): Uint8Array => encodeData(Uint8Array.of(n));

  it("a mark passes what has not left, and only that (W1)", () => {
    const sender = new CreditWindow(1);
    sender.reopened(seq(0));
    const mark = encodeBarrier(id(1), 100);
    const urgent = encodeBarrier(id(1), atOnce);
    sender.offer(data(0));
    sender.take();
    sender.offer(data(1));
    sender.offer(mark);
    sender.offer(data(2));
    expect(sender.ahead(mark)).toEqual([data(1)]);
    sender.overtake(mark, urgent);
    expect(sender.take()).toEqual([{ seq: 1, frame: urgent }]);
    expect(sender.ahead(mark)).toEqual([]);
    sender.settled(seq(0));
    expect(sender.take()).toEqual([{ seq: 2, frame: data(1) }]);
  });

  it("does not pass what has a number, though it must be sent again", () => {
    const sender = new CreditWindow(2);
    sender.reopened(seq(0));
    sender.offer(data(0));
    sender.take();
    sender.disconnected();
    const mark = encodeBarrier(id(1));
    sender.offer(data(1));
    sender.offer(mark);
    sender.overtake(mark, mark);
    sender.reopened(seq(0));
    expect(sender.take().map(({ frame }) => frame)).toEqual([data(0), mark, data(1)]);
  });
});

describe("channel state in bytes (ChannelStateSerializerImplTest)", () => {
  it("frames come back as they were, from any place in a file; a changed byte is found (C1)", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.nat(), (frames, at) => {
        const bytes = encodeFrames(frames);
        expect(decodeFrames(bytes)).toEqual(frames);
        bytes[at % bytes.length]! ^= 1;
        expect(() => decodeFrames(bytes)).toThrow(FormatError);
      }),
    );
  });

  const channel = { edge: 3, from: { vertex: "a", index: 1 }, to: { vertex: "b", index: 2 } };
  const captured = [{ end: "input" as const, channel: 0, frames: [encodeData(Uint8Array.of(7))] }];
  const place = (inlineThreshold: number, state?: Uint8Array) =>
    placeChannels(captured, {
      inputs: [channel],
      outputs: [],
      index: 2,
      file: state && { path: "state", bytes: state },
      path: "own",
      inlineThreshold,
    });

  it("small ones are inline, others in a file, beside the state where it has one", () => {
    expect(place(1_000)).toMatchObject({
      handles: [{ end: "input", edge: 3, from: 1, to: 2, frames: { kind: "inline" } }],
      file: undefined,
    });
    expect(place(0).file?.path).toBe("own");
    const { handles, file } = place(1_000, new Uint8Array(24));
    expect(handles[0]!.frames).toMatchObject({ kind: "file", path: "state", offset: 24 });
    expect(decodeFrames(file!.bytes.subarray(24))).toEqual(captured[0]!.frames);
    expect(filesOf({ keyed: [], operator: [], channels: handles })).toEqual(["state"]);
  });
});

// One subtask, by hand. Its rows are numbers; its table shows how many there were.

interface Row {
  readonly key: string;
  readonly n: number;
}

const definition = defineJob(
  "by-hand",
  (env) => {
    env
      .from(topic<Row>("rows", { partitions: 2 }), { uid: "rows" })
      .keyBy((row) => row.key)
      .aggregate({ n: count() }, { uid: "sum" })
      .to(table("sums"), { uid: "out" });
  },
  { parallelism: 2, bufferTimeout: 0, checkpointing: { interval: 100, inlineThreshold: 1_000 } },
);

function deploymentOf(
  uid: "rows" | "sum",
  checkpointing: Partial<CheckpointConfig> = { unaligned: true },
  state?: TaskStateHandle,
): TaskDeployment {
  const { graph } = definition;
  const config = {
    ...graph.config,
    checkpointing: { ...graph.config.checkpointing, ...checkpointing },
  };
  const plan = planOf(graph, config);
  const vertex = plan.vertices.find(({ operators }) => operators.includes(uid))!;
  const empty = { keyed: [], operator: [] };
  return {
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(1),
    task: { vertex: vertex.id, index: 0 },
    plan,
    config,
    ...(state && { restore: { checkpoint: id(1), states: [state, empty] } }),
  };
}

function started(deployment: TaskDeployment, now = 0): { task: Task; effects: TaskEffect[] } {
  const restored = deployment.restore && {
    checkpoint: deployment.restore.checkpoint,
    keyed: deployment.restore.states[0]!.keyed.map((handle) => ({
      handle,
      segments: handle.segments.map((one) => (one as { bytes: Uint8Array }).bytes),
    })),
    operator: sharesOf(deployment).map((share) => ({
      ...share,
      bytes: (share.handle.bytes as { bytes: Uint8Array }).bytes,
    })),
    channels: channelsOf(deployment).map((handle) => {
      const frames = decodeFrames((handle.frames as { bytes: Uint8Array }).bytes);
      return restoredChannel(deployment, definition.graph, handle, frames);
    }),
  };
  const task = new Task(deployment, definition.graph, restored, millis(now));
  const effects = [...task.start(millis(now))];
  task.outputs.forEach((_, at) => effects.push(...task.reopened(at, seq(0), millis(now))));
  return { task, effects };
}

const data = (...numbers: number[]): Uint8Array =>
  encodeData(encodeRows(numbers.map((n) => ({ key: "k", n }))));

/** Feeds a task's input channels, numbering the frames; by default long after a turn at 0 (A6). */
class Feed {
  readonly task: Task;
  readonly effects: TaskEffect[] = [];
  readonly #next = [0, 0];

  constructor(task: Task) {
    this.task = task;
  }

  push(channel: number, frame: Uint8Array, now = 20): this {
    const at = seq(this.#next[channel]!++);
    this.effects.push(...this.task.receive(channel, at, frame, millis(now)).effects);
    return this;
  }

  tick(now = 20): this {
    this.effects.push(...this.task.tick(millis(now)));
    return this;
  }

  /** Until nothing is due any more. */
  drain(now = 20): this {
    for (let turns = 0; this.task.wakeAt !== undefined && this.task.wakeAt <= now; turns++) {
      if (turns > 100) throw new Error("It wants to be woken for ever.");
      this.tick(now);
    }
    return this;
  }

  get acks(): CheckpointAck[] {
    return acksOf(this.effects);
  }

  get last(): unknown {
    return [...this.task.table("sums")!.entries("latest")].map(([, row]) => row)[0];
  }
}

const acksOf = (effects: readonly TaskEffect[]): CheckpointAck[] =>
  effects.flatMap((effect) => (effect.kind === "snapshot" ? [effect.ack] : []));

/** Rows of the channel state in an acknowledgement: `input 0>1: 1 2`. */
const channelRows = (ack: CheckpointAck | undefined): string[] =>
  (ack?.state.channels ?? []).map(({ end, from, to, frames }) => {
    if (frames.kind !== "inline") throw new Error("not inline");
    const numbers = decodeFrames(frames.bytes).flatMap((bytes): (number | string)[] => {
      const frame = decodeFrame(bytes);
      return frame.kind === "data" ? decodeRows(frame.rows).map((row) => (row as Row).n) : ["|"];
    });
    return `${end} ${from}>${to}: ${numbers.join(" ")}`;
  });

describe("a subtask whose barriers overtake", () => {
  it("keeps what waited and what came until each channel's barrier, and processes it all the same", () => {
    const { task } = started(deploymentOf("sum"));
    const feed = new Feed(task);
    feed.push(0, data(1), 0).push(0, data(2)).push(0, data(3)).push(1, data(4));
    expect(feed.last).toMatchObject({ n: 1 });
    feed
      .push(0, encodeBarrier(id(1), atOnce))
      .push(0, data(5))
      .push(1, data(6));
    expect(feed.acks).toEqual([]);
    feed.push(1, encodeBarrier(id(1), atOnce)).push(1, data(7));
    expect(feed.acks.map(channelRows)).toEqual([["input 0>0: 2 3", "input 1>0: 4 6"]]);
    expect(feed.drain().last).toMatchObject({ n: 7 });
    expect(feed.acks).toHaveLength(1);
  });

  it("SequentialChannelStateReaderImplTest: processes restored rows first, and sends restored ones first", () => {
    const before = new Feed(started(deploymentOf("sum")).task);
    before.push(0, data(1), 0).push(0, data(2)).push(1, data(3));
    before.push(0, encodeBarrier(id(1), atOnce)).push(1, encodeBarrier(id(1), atOnce));
    const restored = deploymentOf("sum", undefined, before.acks[0]!.state);
    const after = new Feed(started(restored).task);
    expect(after.task.position(0).expected).toBe(0);
    after.push(0, data(9));
    expect(after.task.isSettled(0, seq(0))).toBe(false);
    expect(after.drain().last).toMatchObject({ n: 4 });
    expect(after.task.isSettled(0, seq(0))).toBe(true);
  });

  // UnalignedCheckpointsCancellationTest, SubtaskCheckpointCoordinatorTest
  it("an abort ends the capture, and the next checkpoint is whole", () => {
    const feed = new Feed(
      started(deploymentOf("sum", { unaligned: true, inlineThreshold: 0 })).task,
    );
    feed
      .push(0, data(1), 0)
      .push(0, data(2))
      .push(0, encodeBarrier(id(1), atOnce));
    feed.effects.push(...feed.task.notifyAborted(id(1), millis(2)));
    feed.push(1, encodeBarrier(id(1), atOnce)).drain();
    expect(feed.acks).toEqual([]);
    feed.push(0, encodeBarrier(id(2), atOnce)).push(1, encodeBarrier(id(2), atOnce));
    expect(feed.acks).toHaveLength(1);
    // Nothing refers to the file that was never stored.
    for (const path of filesOf(feed.acks[0]!.state)) expect(path).toContain("/chk-2/");
  });

  // UnalignedCheckpointFailureHandlingITCase
  it("after its file was lost the next checkpoint stands alone", () => {
    const config = { unaligned: true, inlineThreshold: 0 };
    const feed = new Feed(started(deploymentOf("sum", config)).task);
    const checkpoint = (n: number): void => {
      const barrier = encodeBarrier(id(n), atOnce);
      const at = n * 100;
      feed.push(0, data(1), at).push(0, data(2), at + 20);
      feed
        .push(0, barrier, at + 20)
        .push(1, barrier, at + 20)
        .drain(at + 40);
    };
    checkpoint(1);
    feed.task.snapshotLost();
    checkpoint(2);
    checkpoint(3);
    const [lost, ...kept] = feed.acks.map(({ state }) => filesOf(state));
    expect(lost).not.toEqual([]);
    for (const path of kept.flat()) expect(path).not.toContain("/chk-1/");
    expect(feed.acks.map(({ state }) => state.channels?.length ?? 0)).toEqual([1, 1, 1]);
  });

  it("a newer barrier ends the capture and declines it", () => {
    const feed = new Feed(started(deploymentOf("sum")).task);
    feed
      .push(0, data(1), 0)
      .push(0, data(2))
      .push(0, encodeBarrier(id(1), atOnce));
    feed.push(1, encodeBarrier(id(2), atOnce));
    expect(feed.effects.filter(({ kind }) => kind === "decline")).toMatchObject([
      { decline: { checkpoint: 1 } },
    ]);
    feed.push(0, encodeBarrier(id(2), atOnce));
    expect(feed.acks).toMatchObject([{ checkpoint: 2 }]);
    expect(channelRows(feed.acks[0])).toEqual(["input 0>0: 2"]);
  });

  it("waits for nothing while the barrier of a channel is missing", () => {
    const feed = new Feed(started(deploymentOf("sum")).task);
    feed.push(0, encodeBarrier(id(1), atOnce)).drain();
    expect(feed.task.wakeAt).toBeUndefined();
  });

  // AlternatingCheckpointsTest
  it("switches by its timer; rows behind the barrier of a blocked channel are not its own", () => {
    const feed = new Feed(started(deploymentOf("sum")).task);
    const late = encodeBarrier(id(1), 100);
    feed.push(0, data(1), 10).push(0, late, 10).drain(10).push(0, data(2), 11).push(1, data(3), 11);
    feed.push(1, data(4), 11);
    expect(feed.acks).toEqual([]);
    feed.drain(12);
    expect(feed.last).toMatchObject({ n: 3 });
    expect(feed.task.wakeAt).toBe(100);
    feed
      .tick(100)
      .push(1, data(5), 101)
      .push(1, encodeBarrier(id(1), 100), 102)
      .drain(103);
    expect(feed.acks.map(channelRows)).toEqual([["input 1>0: 5"]]);
    expect(feed.acks[0]!.metrics.alignment).toBe(92);
    expect(feed.last).toMatchObject({ n: 5 });
  });
});

describe("a source whose barriers overtake", () => {
  /** More batches than a window takes; nothing is settled. */
  function full(deployment: TaskDeployment): {
    task: Task;
    pushes: string[];
    effects: TaskEffect[];
  } {
    const { task, effects } = started(deployment);
    const count = channelWindow + 3;
    const batches = Array.from({ length: count }, (_, n) => ({
      first: offset(n),
      count: 1,
      bytes: encodeRows([{ key: "k", n }]),
    }));
    effects.push(...task.sourceBatches(0, batches, millis(1)));
    for (let turn = 0; turn <= count; turn++) effects.push(...task.tick(millis(1)));
    return { task, pushes: shown(effects), effects };
  }

  const shown = (effects: readonly TaskEffect[]): string[] =>
    effects.flatMap((effect) => {
      if (effect.kind !== "push") return [];
      const frame = decodeFrame(effect.frame);
      if (frame.kind === "barrier") return [`|${frame.checkpoint}`];
      if (frame.kind === "watermark") return [`~${frame.time}`];
      return decodeRows(frame.rows).map((row) => `${(row as Row).n}`);
    });

  /** The one channel that the rows go to. */
  const busy = (effects: readonly TaskEffect[]): number =>
    effects.find((effect) => effect.kind === "push")!.channel;

  it("sends the barrier ahead of rows without credit and keeps those with its offsets", () => {
    const { task, pushes } = full(deploymentOf("rows"));
    expect(pushes).toEqual(["0", "1", "2", "3", "4", "5"]);
    const effects = task.trigger(id(1), millis(2));
    expect(shown(effects)).toEqual(["|1", "|1"]);
    expect(acksOf(effects).flatMap(channelRows)).toEqual([
      expect.stringMatching(/^output 0>.: 6$/),
    ]);
  });

  it("sends restored rows before it reads on", () => {
    const ack = acksOf(full(deploymentOf("rows")).task.trigger(id(1), millis(2)))[0]!;
    const { task, effects } = started(deploymentOf("rows", undefined, ack.state));
    expect(shown(effects)).toEqual(["6"]);
    const read = effects.find((effect) => effect.kind === "read");
    expect(read).toMatchObject({ from: 7 });
    task.stop();
  });

  it("with a timeout acknowledges when the barrier has left", () => {
    const { task, effects: before } = full(
      deploymentOf("rows", { unaligned: true, alignedTimeout: 50 }),
    );
    const effects = task.trigger(id(1), millis(2));
    expect(acksOf(effects)).toEqual([]);
    expect(task.wakeAt).toBe(52);
    const settled = task.settled(busy(before), seq(0) as Seq, millis(3));
    expect(shown(settled).slice(0, 2)).toEqual(["6", "|1"]);
    expect(acksOf(settled).map(channelRows)).toEqual([[]]);
  });

  it("with a timeout lets the barrier overtake when it has passed", () => {
    const { task } = full(deploymentOf("rows", { unaligned: true, alignedTimeout: 50 }));
    task.trigger(id(1), millis(2));
    const effects = task.tick(millis(52));
    expect(shown(effects)).toEqual(["|1"]);
    expect(acksOf(effects).flatMap(channelRows)).toEqual([
      expect.stringMatching(/^output 0>.: 6$/),
    ]);
    expect(task.wakeAt ?? 1_000).toBeGreaterThan(52);
  });

  it("never overtakes where it is not told to, nor at least once", () => {
    for (const checkpointing of [
      { unaligned: false },
      { unaligned: true, mode: "AT_LEAST_ONCE" },
    ] as const) {
      const { task } = full(deploymentOf("rows", checkpointing));
      const effects = task.trigger(id(1), millis(2));
      expect(shown(effects)).toEqual(["|1"]);
      expect(acksOf(effects).map(channelRows)).toEqual([[]]);
    }
  });
});
