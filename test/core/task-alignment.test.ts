import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CheckpointId, checkpointId, millis } from "../../format/ids.ts";
import { Aligner } from "../../task/alignment.ts";

const at = millis(1_000);
const id = (n: number): CheckpointId => checkpointId(n);

describe("Aligner, exactly once (AlignedCheckpointsTest)", () => {
  it("blocks a channel exactly from its barrier to the last one (B2)", () => {
    const aligner = new Aligner(3, "EXACTLY_ONCE");
    expect(aligner.onBarrier(1, id(1), millis(10))).toEqual({ kind: "waiting" });
    expect([0, 1, 2].map((channel) => aligner.isBlocked(channel))).toEqual([false, true, false]);
    expect(aligner.onBarrier(0, id(1), millis(20))).toEqual({ kind: "waiting" });
    expect(aligner.onBarrier(2, id(1), millis(45))).toEqual({ kind: "aligned", duration: 35 });
    expect([0, 1, 2].some((channel) => aligner.isBlocked(channel))).toBe(false);
  });

  it("needs no waiting with one input", () => {
    const aligner = new Aligner(1, "EXACTLY_ONCE");
    expect(aligner.onBarrier(0, id(4), at)).toEqual({ kind: "aligned", duration: 0 });
  });

  it("a newer barrier aborts the running alignment (B3)", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.onBarrier(0, id(1), at);
    expect(aligner.onBarrier(1, id(2), at)).toEqual({ kind: "waiting", superseded: 1 });
    expect([aligner.isBlocked(0), aligner.isBlocked(1)]).toEqual([false, true]);
    expect(aligner.onBarrier(0, id(2), at)).toEqual({ kind: "aligned", duration: 0 });
  });

  it("barriers of an aborted or finished checkpoint are dropped (B4)", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.onBarrier(0, id(1), at);
    aligner.onAborted(id(1));
    expect(aligner.isBlocked(0)).toBe(false);
    expect(aligner.onBarrier(1, id(1), at)).toEqual({ kind: "ignored" });
    aligner.onBarrier(0, id(2), at);
    aligner.onBarrier(1, id(2), at);
    expect(aligner.onBarrier(0, id(2), at)).toEqual({ kind: "ignored" });
  });

  it.each([4, 6])("the abortion of %i does not end the alignment of 5", (other) => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.onBarrier(0, id(5), at);
    aligner.onAborted(id(other));
    expect(aligner.isBlocked(0)).toBe(true);
    expect(aligner.onBarrier(1, id(5), at).kind).toBe("aligned");
    expect(aligner.onBarrier(0, id(6), at).kind).toBe(other === 6 ? "ignored" : "waiting");
    aligner.onBarrier(0, id(7), at);
    expect(aligner.onBarrier(1, id(7), at).kind).toBe("aligned");
  });

  it("overlapping checkpoints align one after the other: a blocked channel keeps the next barrier", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.onBarrier(0, id(1), at);
    expect(aligner.isBlocked(0)).toBe(true);
    expect(aligner.onBarrier(1, id(1), at).kind).toBe("aligned");
    expect(aligner.onBarrier(0, id(2), at)).toEqual({ kind: "waiting" });
    expect(aligner.onBarrier(1, id(2), at).kind).toBe("aligned");
  });
});

describe("Aligner, at least once", () => {
  it("never blocks, and still waits for every barrier (B2)", () => {
    const aligner = new Aligner(2, "AT_LEAST_ONCE");
    expect(aligner.onBarrier(0, id(1), at).kind).toBe("waiting");
    expect(aligner.isBlocked(0)).toBe(false);
    expect(aligner.onBarrier(1, id(1), at).kind).toBe("aligned");
  });

  it("CheckpointBarrierTrackerTest: overlapping checkpoints are counted each by itself (B1)", () => {
    const aligner = new Aligner(3, "AT_LEAST_ONCE");
    const barrier = (channel: number, checkpoint: number, now: number) =>
      aligner.onBarrier(channel, id(checkpoint), millis(now));
    const waiting = { kind: "waiting" };
    expect(barrier(0, 1, 10)).toEqual(waiting);
    expect(barrier(0, 2, 20)).toEqual(waiting);
    expect(barrier(1, 1, 30)).toEqual(waiting);
    expect(barrier(0, 3, 40)).toEqual(waiting);
    expect(barrier(2, 1, 50)).toEqual({ kind: "aligned", duration: 40 });
    expect(barrier(2, 2, 60)).toEqual(waiting);
    expect(barrier(1, 2, 70)).toEqual({ kind: "aligned", duration: 50 });
    expect(barrier(1, 3, 80)).toEqual(waiting);
    expect(barrier(2, 3, 90)).toEqual({ kind: "aligned", duration: 50 });
  });

  it("CheckpointBarrierTrackerTest: one that is whole ends the older ones, which lost a barrier", () => {
    const aligner = new Aligner(2, "AT_LEAST_ONCE");
    for (const checkpoint of [1, 2, 3]) aligner.onBarrier(0, id(checkpoint), at);
    expect(aligner.onBarrier(1, id(3), at).kind).toBe("aligned");
    for (const checkpoint of [1, 2, 3]) {
      expect(aligner.onBarrier(1, id(checkpoint), at)).toEqual({ kind: "ignored" });
    }
  });

  it("CheckpointBarrierTrackerTest: an abort ends that one alone, and it never becomes whole (B4)", () => {
    const aligner = new Aligner(2, "AT_LEAST_ONCE");
    for (const checkpoint of [1, 2, 3]) aligner.onBarrier(0, id(checkpoint), at);
    aligner.onAborted(id(2));
    expect(aligner.onBarrier(1, id(1), at).kind).toBe("aligned");
    expect(aligner.onBarrier(1, id(2), at)).toEqual({ kind: "ignored" });
    expect(aligner.onBarrier(1, id(3), at).kind).toBe("aligned");
  });

  it("a repeated barrier of one channel counts once, and one input needs no counting", () => {
    const two = new Aligner(2, "AT_LEAST_ONCE");
    two.onBarrier(0, id(1), at);
    expect(two.onBarrier(0, id(1), at)).toEqual({ kind: "waiting" });
    const one = new Aligner(1, "AT_LEAST_ONCE");
    expect(one.onBarrier(0, id(1), at)).toEqual({ kind: "aligned", duration: 0 });
    expect(one.onBarrier(0, id(2), at)).toEqual({ kind: "aligned", duration: 0 });
  });

  it("CheckpointBarrierTrackerTest: any interleaving of channels that lose nothing aligns every id in order", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 200 }), (order) => {
        const aligner = new Aligner(4, "AT_LEAST_ONCE");
        const last = [0, 0, 0, 0];
        const aligned: number[] = [];
        for (const channel of order) {
          const next = ++last[channel]!;
          if (aligner.onBarrier(channel, id(next), at).kind === "aligned") aligned.push(next);
        }
        expect(aligned).toEqual(Array.from({ length: Math.min(...last) }, (_, n) => n + 1));
      }),
    );
  });
});

describe("AlignedCheckpointsMassiveRandomTest", () => {
  it("random barriers and abortions never deadlock, never align twice, never block a free channel", () => {
    const event = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({ kind: fc.constant("barrier" as const), channel: fc.nat(3) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), back: fc.nat(2) }) },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const aligner = new Aligner(4, "EXACTLY_ONCE");
        const last = [0, 0, 0, 0];
        const aligned: number[] = [];
        for (const step of events) {
          if (step.kind === "abort") {
            aligner.onAborted(id(Math.max(1, Math.max(...last) - step.back)));
            continue;
          }
          // A blocked channel hands out nothing: its next barrier comes once it is free.
          if (aligner.isBlocked(step.channel)) continue;
          const next = ++last[step.channel]!;
          const outcome = aligner.onBarrier(step.channel, id(next), at);
          if (outcome.kind === "aligned") aligned.push(next);
          // Someone is always free, so the job goes on.
          expect([0, 1, 2, 3].every((channel) => aligner.isBlocked(channel))).toBe(false);
        }
        expect(aligned).toEqual([...new Set(aligned)].sort((a, b) => a - b));
      }),
    );
  });
});
