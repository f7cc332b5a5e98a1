// The even/odd example of Flink's documentation: two sources of numbers at different speeds, and one
// task that sums even and odd numbers. Here the test itself is the two sources: it opens the task's
// channels and pushes rows and barriers by hand, so what reaches the task when is exact.

import { describe, expect, onTestFinished, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { decodeRows, encodeRows } from "../../format/batch.ts";
import type { CheckpointingMode, JobConfig } from "../../format/config.ts";
import { decodeFrames } from "../../format/channel-state.ts";
import { atOnce, decodeFrame, encodeBarrier, encodeData, never } from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, seq } from "../../format/ids.ts";
import type { ChannelSession, CheckpointAck } from "../../format/messages.ts";
import { type Channel, inputChannels, vertexOf } from "../../format/plan.ts";
import { readSegment } from "../../format/segment.ts";
import { seen } from "./faults.ts";
import { killSubtask, subtaskOf, until } from "./harness.ts";
import { evenOdd, type ParitySum } from "./programs.ts";

/** One push, and whether the task has processed it. */
interface Pushed {
  isSettled: boolean;
  readonly settled: Promise<void>;
}

/** The sending end of one channel. */
class Sender {
  readonly #session: ChannelSession;
  #next = 0;

  constructor(session: ChannelSession) {
    this.#session = session;
  }

  rows(...numbers: number[]): Pushed {
    return this.#push(encodeData(encodeRows(numbers)));
  }

  barrier(checkpoint: number, overtakesAt = never): Pushed {
    return this.#push(encodeBarrier(checkpointId(checkpoint), overtakesAt));
  }

  #push(frame: Uint8Array): Pushed {
    const settled = this.#session.push(seq(this.#next++), frame).then(() => {
      pushed.isSettled = true;
    });
    const pushed: Pushed = { isSettled: false, settled };
    return pushed;
  }
}

/** The task that sums, deployed and started, with a sender for each of its two inputs. */
async function summingTask(
  mode: CheckpointingMode,
  { unaligned = false } = {},
): Promise<{
  fast: Sender;
  slow: Sender;
  ackOf: (checkpoint: number) => Promise<CheckpointAck>;
  hasAcked: (checkpoint: number) => boolean;
  declined: () => number[];
  abort: (checkpoint: number) => Promise<void>;
}> {
  const job = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  const { graph } = evenOdd;
  const { checkpointing } = graph.config;
  const config: JobConfig = {
    ...graph.config,
    checkpointing: { ...checkpointing, mode, unaligned },
  };
  const plan = planOf(graph, config);
  const first = attempt(1);
  const task = {
    vertex: plan.vertices.find((vertex) => vertex.operators.includes("sums"))!.id,
    index: 0,
  };
  const subtask = subtaskOf(job, task);
  expect(await subtask.deploy({ job, attempt: first, task, plan, config })).toEqual({
    kind: "deployed",
  });
  expect(await subtask.start(first)).toEqual({ kind: "ok" });
  onTestFinished(() => killSubtask(job, task));

  const open = async (channel: Channel): Promise<Sender> => {
    const outcome = await subtask.open({ attempt: first, channel });
    if (outcome.kind !== "open") throw new Error(`The channel is not open: ${outcome.kind}.`);
    expect(outcome.expected).toBe(0);
    return new Sender(outcome.session);
  };
  const channels = inputChannels(plan, task);
  expect(channels.map(({ from }) => vertexOf(plan, from.vertex).operators)).toEqual([
    ["fast"],
    ["slow"],
  ]);
  const mine = seen.acks.length;
  const ackOf = (checkpoint: number): CheckpointAck | undefined =>
    seen.acks.slice(mine).find((ack) => ack.checkpoint === checkpoint);
  const declines = seen.declines.length;
  return {
    fast: await open(channels[0]!),
    slow: await open(channels[1]!),
    ackOf: (checkpoint) =>
      until(`checkpoint ${checkpoint} is acknowledged`, () => ackOf(checkpoint)),
    hasAcked: (checkpoint) => ackOf(checkpoint) !== undefined,
    declined: () => seen.declines.slice(declines).map(({ checkpoint }) => checkpoint),
    abort: async (checkpoint) => {
      expect(await subtask.notifyAborted(first, checkpointId(checkpoint))).toEqual({ kind: "ok" });
    },
  };
}

/** The rows of the table in the snapshot, by key. */
function sumsIn(ack: CheckpointAck): Record<string, ParitySum> {
  const table = ack.state.keyed.find(({ uid, state }) => uid === "out" && state === "rows");
  const rows = new Map<string, ParitySum>();
  for (const segment of table?.segments ?? []) {
    if (segment.kind !== "inline") throw new Error("The state of these tests is inline.");
    for (const entry of readSegment(segment.bytes).entries(table!.range)) {
      if ("deleted" in entry) rows.delete(String(entry.key));
      else rows.set(String(entry.key), entry.value as ParitySum);
    }
  }
  return Object.fromEntries(rows);
}

/** The rows in the snapshot that the task had not processed. */
const onTheirWay = (ack: CheckpointAck): number[] =>
  (ack.state.channels ?? []).flatMap(({ frames }) => {
    if (frames.kind !== "inline") throw new Error("The state of these tests is inline.");
    return decodeFrames(frames.bytes).flatMap((bytes) => {
      const frame = decodeFrame(bytes);
      return frame.kind === "data" ? (decodeRows(frame.rows) as number[]) : [];
    });
  });

describe("alignment of two sources at different speeds (CoStreamCheckpointingITCase)", () => {
  test("holds the rows behind a barrier and counts those before the late one", async () => {
    const { fast, slow, ackOf, hasAcked } = await summingTask("EXACTLY_ONCE");
    await fast.rows(1, 2, 3, 4).settled;
    await slow.rows(1, 2).settled;
    const barrier = fast.barrier(1);
    const behind = [fast.rows(5, 6), fast.rows(7)];
    // The slow source is before its barrier still, and is read on.
    await barrier.settled;
    await slow.rows(3).settled;
    await slow.rows(4, 6).settled;
    expect(behind.map(({ isSettled }) => isSettled)).toEqual([false, false]);
    expect(hasAcked(1)).toBe(false);

    await slow.barrier(1).settled;
    await Promise.all(behind.map(({ settled }) => settled));
    const ack = await ackOf(1);
    expect(sumsIn(ack)).toEqual({
      even: { key: "even", sum: 2 + 4 + 2 + 4 + 6, rows: 5 },
      odd: { key: "odd", sum: 1 + 3 + 1 + 3, rows: 4 },
    });

    // What was held is in the next one.
    await Promise.all([slow.barrier(2).settled, fast.barrier(2).settled]);
    expect(sumsIn(await ackOf(2))).toEqual({
      even: { key: "even", sum: 18 + 6, rows: 6 },
      odd: { key: "odd", sum: 8 + 5 + 7, rows: 6 },
    });
  });

  test("holds nothing in at-least-once mode", async () => {
    const { fast, slow, ackOf } = await summingTask("AT_LEAST_ONCE");
    await fast.rows(1, 2).settled;
    await fast.barrier(1).settled;
    await fast.rows(3, 4).settled;
    await slow.rows(5).settled;
    await slow.barrier(1).settled;
    expect(sumsIn(await ackOf(1))).toEqual({
      even: { key: "even", sum: 2 + 4, rows: 2 },
      odd: { key: "odd", sum: 1 + 3 + 5, rows: 3 },
    });
  });

  test("ends when its checkpoint is aborted, and a late barrier of it is nothing", async () => {
    const { fast, slow, ackOf, hasAcked, abort } = await summingTask("EXACTLY_ONCE");
    await fast.barrier(1).settled;
    const held = fast.rows(1);
    await slow.rows(2).settled;
    expect(held.isSettled).toBe(false);
    await abort(1);
    await held.settled;
    await slow.barrier(1).settled;
    await fast.rows(3).settled;
    await Promise.all([fast.barrier(2).settled, slow.barrier(2).settled]);
    expect(sumsIn(await ackOf(2))).toEqual({
      even: { key: "even", sum: 2, rows: 1 },
      odd: { key: "odd", sum: 4, rows: 2 },
    });
    expect(hasAcked(1)).toBe(false);
  });

  test("is declined when the barriers of a newer checkpoint overtake it", async () => {
    const { fast, slow, ackOf, declined, hasAcked } = await summingTask("EXACTLY_ONCE");
    await fast.barrier(1).settled;
    const held = fast.rows(1);
    // The slow source never saw the trigger of checkpoint 1.
    await slow.rows(2).settled;
    await slow.barrier(2).settled;
    await held.settled;
    const behind = slow.rows(4);
    await fast.rows(3).settled;
    expect(behind.isSettled).toBe(false);
    await fast.barrier(2).settled;
    await behind.settled;
    expect(sumsIn(await ackOf(2))).toEqual({
      even: { key: "even", sum: 2, rows: 1 },
      odd: { key: "odd", sum: 4, rows: 2 },
    });
    await until("checkpoint 1 is declined", () => declined().includes(1));
    expect(hasAcked(1)).toBe(false);
  });
});

describe("barriers that overtake", () => {
  test("keep what waits in the inbox and what comes before the late one", async () => {
    const { fast, slow, ackOf, hasAcked } = await summingTask("EXACTLY_ONCE", { unaligned: true });
    // These keep it busy for longer than a turn, and what comes meanwhile waits.
    const zeros = Array.from({ length: 60_000 }, () => 0);
    const busy = Array.from({ length: 4 }, () => fast.rows(...zeros));
    const before = [...busy, ...Array.from({ length: 100 }, (_, n) => fast.rows(2 * n))];
    const barrier = fast.barrier(1, atOnce);
    const behind = fast.rows(1);
    // The task holds nothing back, and waits for the barrier of the slow source.
    await Promise.all([...before, barrier, behind].map(({ settled }) => settled));
    await slow.rows(2, 4).settled;
    expect(hasAcked(1)).toBe(false);
    await slow.barrier(1, atOnce).settled;

    const ack = await ackOf(1);
    const kept = onTheirWay(ack);
    const { even, odd } = sumsIn(ack);
    expect(kept.slice(-2)).toEqual([2, 4]);
    expect(kept.length).toBeGreaterThan(2);
    expect((even?.rows ?? 0) + kept.length).toBe(240_102);
    expect((even?.sum ?? 0) + kept.reduce((total, n) => total + n, 0)).toBe(9_900 + 6);
    expect(odd).toBeUndefined();

    await Promise.all([slow.barrier(2, atOnce).settled, fast.barrier(2, atOnce).settled]);
    expect(sumsIn(await ackOf(2))).toEqual({
      even: { key: "even", sum: 9_906, rows: 240_102 },
      odd: { key: "odd", sum: 1, rows: 1 },
    });
  });
});
