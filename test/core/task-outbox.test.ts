import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeRows } from "../../format/batch.ts";
import { atOnce, decodeFrame, endOfTime, never } from "../../format/frame.ts";
import { checkpointId, millis, seq } from "../../format/ids.ts";
import type { Key } from "../../format/key.ts";
import { keyGroupOf, rangeHas, rangeOfSubtask } from "../../format/key-groups.ts";
import { batchRowsMax, channelWindow, frameBytesMax } from "../../format/limits.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import { type OutgoingEdge, Outbox, type Push } from "../../task/outbox.ts";
import {
  forward,
  HashPartitioner,
  type Partitioner,
  RebalancePartitioner,
} from "../../task/partitioner.ts";

const now = millis(1_000);
const hash = (receivers: number, selector = (row: { k: Key }) => row.k): HashPartitioner =>
  new HashPartitioner({ uid: "sum", selector, receivers, maxParallelism: 128 });

function open(edges: readonly OutgoingEdge[], bufferTimeout = 100): Outbox {
  const outbox = new Outbox(edges, bufferTimeout);
  for (let channel = 0; channel < outbox.channelCount; channel++) outbox.reopened(channel, seq(0));
  return outbox;
}

/** What has left, per channel: rows, and `|n` for a barrier. */
function sent(outbox: Outbox): unknown[][] {
  const out: unknown[][] = Array.from({ length: outbox.channelCount }, () => []);
  for (let pushes = outbox.take(); pushes.length > 0; pushes = outbox.take()) {
    for (const push of pushes) {
      const frame = decodeFrame(push.frame);
      out[push.channel]!.push(
        ...(frame.kind === "data"
          ? decodeRows(frame.rows)
          : [frame.kind === "barrier" ? `|${frame.checkpoint}` : `~${frame.time}`]),
      );
      outbox.settled(push.channel, push.seq);
    }
  }
  return out;
}

describe("Outbox", () => {
  it("a barrier follows every row emitted before it, on every channel (O1)", () => {
    const outbox = open([{ channels: [0, 1], partitioner: new RebalancePartitioner(2, 0) }]);
    outbox.emit(0, new RowBatch([1, 2, 3]), now);
    outbox.broadcastBarrier({ checkpoint: checkpointId(7), overtakesAt: never });
    outbox.emit(0, new RowBatch([4]), now);
    outbox.flush();
    expect(sent(outbox)).toEqual([
      [1, 3, "|7"],
      [2, "|7", 4],
    ]);
  });

  it.each(["full", undefined] as const)("a barrier that overtakes is still %s", (purpose) => {
    const outbox = new Outbox([{ channels: [0], partitioner: forward }], 0);
    const barrier = { checkpoint: checkpointId(7), overtakesAt: 5, ...(purpose && { purpose }) };
    outbox.emit(0, new RowBatch([1]), now);
    outbox.broadcastBarrier(barrier);
    outbox.overtake();
    outbox.reopened(0, seq(0));
    const [first] = outbox.take().map(({ frame }) => decodeFrame(frame));
    expect(first).toEqual({ kind: "barrier", ...barrier, overtakesAt: atOnce });
  });

  it("holds rows until the timeout, or sends at once where it is 0", () => {
    const held = open([{ channels: [0], partitioner: forward }]);
    held.emit(0, new RowBatch([1]), now);
    expect(held.flushAt).toBe(now + 100);
    expect(sent(held)).toEqual([[]]);
    held.flush();
    expect(sent(held)).toEqual([[1]]);
    expect(held.flushAt).toBeUndefined();
    const direct = open([{ channels: [0], partitioner: forward }], 0);
    direct.emit(0, new RowBatch([1]), now);
    expect(sent(direct)).toEqual([[1]]);
  });

  it("keeps rows that are due while frames before them are unsettled (O4)", () => {
    const outbox = open([{ channels: [0, 1], partitioner: new RebalancePartitioner(2, 0) }]);
    const rowsOf = (pushes: readonly Push[]) =>
      pushes.map(({ channel, frame }) => {
        const data = decodeFrame(frame);
        return [channel, data.kind === "data" ? decodeRows(data.rows) : data.kind];
      });
    outbox.emit(0, new RowBatch([1, 2]), now);
    outbox.flushDue(now);
    const [first, second] = outbox.take();
    outbox.emit(0, new RowBatch([3, 4]), now);
    outbox.settled(1, second!.seq);
    outbox.flushDue(now);
    expect(rowsOf(outbox.take())).toEqual([[1, [4]]]);
    expect(outbox.flushAt).toBe(now + 100);
    outbox.emit(0, new RowBatch([5]), now);
    for (let timeouts = 2; timeouts < channelWindow; timeouts++) outbox.flushDue(now);
    expect(outbox.hasBacklog).toBe(false);
    outbox.flushDue(now);
    expect(outbox.hasBacklog).toBe(true);
    expect(outbox.take()).toEqual([]);
    outbox.settled(0, first!.seq);
    expect(rowsOf(outbox.take())).toEqual([[0, [3, 5]]]);
    expect(outbox.hasBacklog).toBe(false);
    outbox.flushDue(now);
    expect(outbox.flushAt).toBeUndefined();
  });

  it("keeps none where a watermark is behind them, or a barrier (O3, O4)", () => {
    for (const send of [
      (outbox: Outbox) => {
        outbox.watermark(0, { time: 7, isIdle: false }, now);
        outbox.flushDue(now);
      },
      (outbox: Outbox) =>
        outbox.broadcastBarrier({ checkpoint: checkpointId(7), overtakesAt: never }),
    ]) {
      const outbox = open([{ channels: [0], partitioner: forward }]);
      outbox.emit(0, new RowBatch([1]), now);
      outbox.flushDue(now);
      expect(outbox.take()).toHaveLength(1);
      outbox.emit(0, new RowBatch([2]), now);
      outbox.flushDue(now);
      expect(outbox.take()).toEqual([]);
      send(outbox);
      expect(outbox.take()).toHaveLength(2);
    }
  });

  describe("rows to many receivers, where the timeout comes late (O5)", () => {
    const many = 16;
    const late = millis(now + 100 + 51);
    const openMany = (receivers = many): Outbox =>
      open([
        {
          channels: Array.from({ length: receivers }, (_, channel) => channel),
          partitioner: new RebalancePartitioner(receivers, 0),
        },
      ]);
    const rows = (count: number) => new RowBatch(Array.from({ length: count }, (_, n) => n));

    it("wait for more, some timeouts long", () => {
      const outbox = openMany();
      outbox.emit(0, rows(many), now);
      outbox.watermark(0, { time: 7, isIdle: false }, now);
      let at: number = late;
      for (let timeouts = 0; timeouts < 4; timeouts++) {
        outbox.flushDue(millis(at));
        expect(outbox.take()).toEqual([]);
        expect(outbox.hasBacklog).toBe(false);
        expect(outbox.flushAt).toBe(at + 100);
        at += 151;
      }
      outbox.flushDue(millis(at));
      expect(sent(outbox)).toEqual(Array.from({ length: many }, (_, n) => [n, "~7"]));
      expect(outbox.flushAt).toBeUndefined();
    });

    it("leave once the timeout comes in time again, or they are worth their calls", () => {
      const outbox = openMany();
      outbox.emit(0, rows(many), now);
      outbox.flushDue(late);
      outbox.flushDue(millis(late + 100));
      expect(sent(outbox).every((of) => of.length === 1)).toBe(true);
      outbox.emit(0, rows(many * 2_048 - 1), now);
      outbox.flushDue(late);
      expect(outbox.take().filter(({ channel }) => channel === 0)).toEqual([]);
      outbox.emit(0, rows(1), late);
      outbox.flushDue(millis(late + 151));
      expect(outbox.take()).toHaveLength(many);
    });

    it("do not wait for a barrier, an urgent watermark, or where receivers are few", () => {
      const behind: ((outbox: Outbox) => void)[] = [
        (outbox) => outbox.broadcastBarrier({ checkpoint: checkpointId(7), overtakesAt: never }),
        (outbox) => outbox.watermark(0, { time: endOfTime, isIdle: false }, late),
      ];
      for (const send of behind) {
        const outbox = openMany();
        outbox.emit(0, rows(many), now);
        outbox.flushDue(late);
        send(outbox);
        expect(outbox.take()).toHaveLength(2 * many);
      }
      const few = openMany(many - 1);
      few.emit(0, rows(many), now);
      few.flushDue(late);
      expect(few.take()).toHaveLength(many - 1);
    });
  });

  it("cuts frames by rows and by bytes", () => {
    const byRows = open([{ channels: [0], partitioner: forward }]);
    byRows.emit(0, new RowBatch(Array.from({ length: batchRowsMax + 1 }, (_, n) => n)), now);
    expect(byRows.take().map((push) => push.seq)).toEqual([0]);
    const byBytes = open([{ channels: [0], partitioner: forward }]);
    const rows = Array.from({ length: 40 }, (_, n) => ({ n, text: `${n}`.repeat(60_000) }));
    byBytes.emit(0, new RowBatch(rows), now);
    byBytes.flush();
    for (const push of byBytes.take())
      expect(push.frame.length).toBeLessThanOrEqual(frameBytesMax + 8);
    expect(byBytes.hasBacklog || byBytes.bytesOut > frameBytesMax).toBe(true);
  });

  it("tells of a backlog while a channel has no credit (O2)", () => {
    const outbox = open([{ channels: [0], partitioner: forward }], 0);
    for (let n = 0; n < 6; n++) outbox.emit(0, new RowBatch([n]), now);
    const first = outbox.take();
    expect(outbox.hasBacklog).toBe(false);
    outbox.emit(0, new RowBatch([6]), now);
    expect(outbox.take()).toEqual([]);
    expect(outbox.hasBacklog).toBe(true);
    outbox.settled(0, first[0]!.seq);
    expect(outbox.take()).toHaveLength(1);
    expect(outbox.hasBacklog).toBe(false);
  });
});

/** Who gets which rows, in order. */
const shares = (partitioner: Partitioner, rows: readonly unknown[]) =>
  partitioner.split(new RowBatch(rows)).map(({ receiver, select, count }) => ({
    receiver,
    rows: Array.from({ length: count }, (_, at) => rows[select === undefined ? at : select[at]!]),
  }));

describe("partitioners", () => {
  it("rows go to the subtask that owns their key group (P1)", () => {
    const key = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.bigInt(),
      fc.tuple(fc.string(), fc.integer()),
    );
    fc.assert(
      fc.property(
        fc.array(key, { maxLength: 50 }),
        fc.integer({ min: 1, max: 9 }),
        (keys, receivers) => {
          for (const { receiver, rows } of shares(
            hash(receivers),
            keys.map((k) => ({ k })),
          )) {
            for (const row of rows) {
              const group = keyGroupOf((row as { k: Key }).k, 128);
              expect(rangeHas(rangeOfSubtask(receiver, receivers, 128), group)).toBe(true);
            }
          }
        },
      ),
    );
  });

  it("deals rows out in turn, over batches (P2)", () => {
    const partitioner = new RebalancePartitioner(3, 1);
    const dealt = (from: number, to: number) =>
      shares(
        partitioner,
        Array.from({ length: to - from }, (_, at) => from + at),
      );
    expect(dealt(0, 2)).toEqual([
      { receiver: 1, rows: [0] },
      { receiver: 2, rows: [1] },
    ]);
    expect(dealt(2, 7)).toEqual([
      { receiver: 0, rows: [2, 5] },
      { receiver: 1, rows: [3, 6] },
      { receiver: 2, rows: [4] },
    ]);
  });

  it("an unusable key names the operator, the row and what is allowed", () => {
    const rows = [{ k: "a" }, { k: null as unknown as Key }];
    expect(() => hash(2).split(new RowBatch(rows))).toThrow(
      /Operator "sum" \(keyBy\) failed on row 1 .*null/,
    );
    const throwing = hash(2, () => {
      throw new Error("no such field");
    });
    expect(() => throwing.split(new RowBatch(rows))).toThrow(
      /"sum" \(keyBy\) failed on row 0 .*no such field/,
    );
  });
});
