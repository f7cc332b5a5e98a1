// Both ends of a channel: the credit window that sends, the inbox that receives, and the two of them
// over a network that loses the end of what was under way.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeBarrier, encodeData, needsCredit } from "../../format/frame.ts";
import { checkpointId, type Seq, seq } from "../../format/ids.ts";
import { CreditWindow } from "../../task/credit-window.ts";
import { Inbox } from "../../task/inbox.ts";

const data = (n: number): Uint8Array => encodeData(Uint8Array.of(n & 255, n >> 8));
const mark = encodeBarrier(checkpointId(1));
const seqs = (frames: readonly { readonly seq: Seq }[]): number[] =>
  frames.map((frame) => frame.seq);

function connected(window: number): CreditWindow {
  const sender = new CreditWindow(window);
  sender.reopened(seq(0));
  return sender;
}

describe("CreditWindow", () => {
  it("sends nothing before its channel is open", () => {
    const sender = new CreditWindow(2);
    sender.offer(data(0));
    expect(sender.take()).toEqual([]);
    expect(sender.backlog).toBe(1);
    sender.reopened(seq(0));
    expect(seqs(sender.take())).toEqual([0]);
    expect(sender.backlog).toBe(0);
  });

  it("stops at the window and goes on with each settled frame (W2)", () => {
    const sender = connected(2);
    for (let n = 0; n < 4; n++) sender.offer(data(n));
    expect(seqs(sender.take())).toEqual([0, 1]);
    expect(sender.take()).toEqual([]);
    sender.settled(seq(0));
    expect(seqs(sender.take())).toEqual([2]);
  });

  it("a mark needs no credit but does not overtake (W2)", () => {
    const sender = connected(1);
    sender.offer(data(0));
    sender.offer(mark);
    sender.offer(data(1));
    sender.offer(mark);
    expect(seqs(sender.take())).toEqual([0, 1]);
    sender.settled(seq(0));
    expect(seqs(sender.take())).toEqual([2, 3]);
  });

  it("after a reopening sends again what the receiver lacks, and awaits the rest (W3, W4)", () => {
    const sender = connected(3);
    for (let n = 0; n < 3; n++) sender.offer(data(n));
    sender.take();
    sender.disconnected();
    sender.settled(seq(0));
    expect(sender.reopened(seq(2))).toEqual({ kind: "resumed", settle: [1] });
    expect(seqs(sender.take())).toEqual([2]);
  });

  it("a receiver that expects what is settled or never sent is another one", () => {
    const sender = connected(3);
    sender.offer(data(0));
    sender.take();
    sender.settled(seq(0));
    expect(sender.reopened(seq(0))).toEqual({ kind: "gap", oldest: 1, next: 1 });
    expect(sender.reopened(seq(2))).toEqual({ kind: "gap", oldest: 1, next: 1 });
  });
});

describe("Inbox", () => {
  it("hands out frames in order, channels in turn, blocked ones not (N1, N3)", () => {
    const inbox = new Inbox(2);
    for (let n = 0; n < 2; n++) {
      inbox.receive(0, seq(n), data(n));
      inbox.receive(1, seq(n), data(10 + n));
    }
    const free = (): boolean => false;
    expect(inbox.next(free)).toMatchObject({ channel: 0, seq: 0 });
    expect(inbox.next(free)).toMatchObject({ channel: 1, seq: 0 });
    expect(inbox.next((channel) => channel === 0)).toMatchObject({ channel: 1, seq: 1 });
    expect(inbox.next((channel) => channel === 0)).toBeUndefined();
    expect(inbox.next(free)).toMatchObject({ channel: 0, seq: 1 });
  });

  it("tells duplicates, settled or not, and gaps (N2)", () => {
    const inbox = new Inbox(1);
    inbox.receive(0, seq(0), data(0));
    expect(inbox.receive(0, seq(0), data(0))).toEqual({ kind: "duplicate", settled: false });
    inbox.next(() => false);
    expect(inbox.receive(0, seq(0), data(0))).toEqual({ kind: "duplicate", settled: true });
    expect(inbox.receive(0, seq(2), data(2))).toEqual({ kind: "gap", expected: 1 });
    expect(inbox.expected(0)).toBe(1);
  });
});

describe("a channel over sessions that break", () => {
  it("delivers every frame once, in order, within the window", () => {
    const step = fc.constantFrom(
      "offer",
      "offerMark",
      "deliver",
      "deliver",
      "process",
      "process",
      "break",
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 300 }),
        fc.integer({ min: 1, max: 4 }),
        (steps, window) => {
          const sender = new CreditWindow(window);
          const inbox = new Inbox(1);
          const offered: Uint8Array[] = [];
          const processed: Uint8Array[] = [];
          let wire: { seq: Seq; frame: Uint8Array }[] = [];
          let awaited = new Set<Seq>();

          const settle = (frameSeq: Seq): void => {
            awaited.delete(frameSeq);
            sender.settled(frameSeq);
            wire.push(...sender.take());
          };
          const open = (): void => {
            const outcome = sender.reopened(inbox.expected(0));
            if (outcome.kind === "gap") throw new Error("W4");
            awaited = new Set(outcome.settle);
            for (const one of outcome.settle) if (inbox.isSettled(0, one)) settle(one);
            wire.push(...sender.take());
          };
          const deliver = (): void => {
            const next = wire.shift();
            if (next === undefined) return;
            const outcome = inbox.receive(0, next.seq, next.frame);
            expect(outcome.kind).not.toBe("gap");
            if (outcome.kind === "duplicate" && outcome.settled) settle(next.seq);
            else awaited.add(next.seq);
          };
          const process = (): void => {
            const item = inbox.next(() => false);
            if (item === undefined) return;
            processed.push(item.frame);
            if (item.seq !== undefined && awaited.has(item.seq)) settle(item.seq);
          };

          open();
          for (const kind of steps) {
            if (kind === "offer" || kind === "offerMark") {
              const frame = kind === "offer" ? data(offered.length) : mark;
              offered.push(frame);
              sender.offer(frame);
              wire.push(...sender.take());
            } else if (kind === "deliver") deliver();
            else if (kind === "process") process();
            else {
              // What was under way is lost, and so are the answers.
              wire = [];
              awaited.clear();
              sender.disconnected();
              open();
            }
            const unprocessed = wire.filter(({ frame }) => needsCredit(frame)).length;
            expect(unprocessed).toBeLessThanOrEqual(window);
          }
          // Each round moves something, or the channel is stuck.
          for (let round = 0; round <= 2 * offered.length; round++) {
            while (wire.length > 0) deliver();
            process();
          }
          expect(processed).toEqual(offered);
          expect(sender.isSettled).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
