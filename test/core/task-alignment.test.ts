import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CheckpointId, checkpointId, millis } from "../../format/ids.ts";
import { Aligner } from "../../task/alignment.ts";

const at = millis(1_000);
const id = (n: number): CheckpointId => checkpointId(n);

describe("Aligner, exactly once", () => {
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

  it("a newer barrier on the only channel aligns at once and names what it ended", () => {
    const aligner = new Aligner(2, "AT_LEAST_ONCE");
    aligner.onBarrier(0, id(1), at);
    expect(aligner.onBarrier(0, id(2), at)).toEqual({ kind: "waiting", superseded: 1 });
    expect(aligner.onBarrier(1, id(1), at)).toEqual({ kind: "ignored" });
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

  it("the abortion of another checkpoint does not end the alignment", () => {
    const aligner = new Aligner(2, "EXACTLY_ONCE");
    aligner.onBarrier(0, id(5), at);
    aligner.onAborted(id(4));
    expect(aligner.isBlocked(0)).toBe(true);
  });
});

describe("Aligner, at least once", () => {
  it("never blocks, and still waits for every barrier (B2)", () => {
    const aligner = new Aligner(2, "AT_LEAST_ONCE");
    expect(aligner.onBarrier(0, id(1), at).kind).toBe("waiting");
    expect(aligner.isBlocked(0)).toBe(false);
    expect(aligner.onBarrier(1, id(1), at).kind).toBe("aligned");
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
