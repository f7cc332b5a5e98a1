// When a channel is asked whether it is stuck, and when it is held to be: numbered rules one by one,
// then a sender and a receiver under a virtual clock, over a network that forgets answers.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeData } from "../../format/frame.ts";
import { type Millis, millis, seq } from "../../format/ids.ts";
import type { WaitReason } from "../../format/messages.ts";
import { CreditWindow } from "../../task/credit-window.ts";
import { Inbox } from "../../task/inbox.ts";
import { type Stall, StallWatch } from "../../task/stall-watch.ts";

const patience = 20_000;
const at = millis;
const position = (expected: number, settled: number, waitsFor?: WaitReason) => ({
  expected: seq(expected),
  settled: seq(settled),
  ...(waitsFor !== undefined && { waitsFor }),
});
const goesOn = (...settled: number[]) => ({ kind: "goesOn", settled });

/** A channel with frames 0 to 2 on their way since 1,000. */
function underWay(): StallWatch {
  const watch = new StallWatch(patience);
  watch.opened(position(0, 0), at(0));
  for (const n of [0, 1, 2]) watch.sent(seq(n), at(1_000));
  return watch;
}

describe("StallWatch", () => {
  it("asks nothing where nothing is on its way (Z1)", () => {
    const watch = new StallWatch(patience);
    watch.opened(position(0, 0), at(0));
    expect(watch.dueAt).toBeUndefined();
    watch.sent(seq(0), at(5));
    watch.settled(seq(0), at(10));
    expect(watch.dueAt).toBeUndefined();
    expect(watch.isDue(at(10_000_000))).toBe(false);
  });

  it("asks once the oldest frame, or the last progress, is old enough (Z1)", () => {
    const watch = underWay();
    expect(watch.dueAt).toBe(21_000);
    watch.settled(seq(0), at(15_000));
    expect(watch.isDue(at(34_999))).toBe(false);
    expect(watch.isDue(at(35_000))).toBe(true);
  });

  it("asks nothing while a session is being opened (Z1)", () => {
    const watch = underWay();
    watch.closed();
    expect(watch.isDue(at(100_000))).toBe(false);
  });

  it("gives back the credit of what the receiver has processed (Z2)", () => {
    const watch = underWay();
    expect(watch.opened(position(3, 2), at(30_000))).toEqual(goesOn(0, 1));
    expect(watch.dueAt).toBe(50_000);
    expect(watch.opened(position(3, 3), at(50_000))).toEqual(goesOn(2));
    expect(watch.dueAt).toBeUndefined();
  });

  it.each<WaitReason>(["start", "barrier", "output"])(
    "waits without end for a receiver that waits for: %s (Z3)",
    (reason) => {
      const watch = underWay();
      for (let now = 21_000; now < 3_600_000; now += patience) {
        expect(watch.isDue(at(now))).toBe(true);
        expect(watch.opened(position(3, 0, reason), at(now))).toEqual(goesOn());
        expect(watch.isDue(at(now + patience - 1))).toBe(false);
      }
    },
  );

  it("holds a channel for stuck when a receiver says the same twice, without a reason (Z4)", () => {
    const watch = underWay();
    expect(watch.opened(position(3, 0), at(21_000))).toEqual(goesOn());
    expect(watch.dueAt).toBe(41_000);
    const stall: Stall = {
      seq: seq(0),
      position: position(3, 0),
      since: at(1_000),
      doubtedSince: at(21_000),
    };
    expect(watch.opened(position(3, 0), at(41_000))).toEqual({ kind: "stalled", stall });
  });

  it("also where the receiver never gets what it is sent again (Z4)", () => {
    const watch = underWay();
    watch.opened(position(0, 0), at(21_000));
    for (const n of [0, 1, 2]) watch.sent(seq(n), at(21_000));
    expect(watch.opened(position(0, 0), at(41_000)).kind).toBe("stalled");
  });

  it("is not misled by sessions that break in between (Z4)", () => {
    const watch = underWay();
    watch.opened(position(3, 0), at(21_000));
    expect(watch.opened(position(3, 0), at(21_010))).toEqual(goesOn());
    expect(watch.opened(position(3, 0), at(40_999))).toEqual(goesOn());
    expect(watch.opened(position(3, 0), at(41_000)).kind).toBe("stalled");
  });

  it.each([
    ["a frame that is settled", (watch: StallWatch) => watch.settled(seq(0), at(30_000)), 0],
    ["a reason", (watch: StallWatch) => watch.opened(position(3, 0, "barrier"), at(30_000)), 0],
    [
      "a frame that has arrived",
      (watch: StallWatch) => watch.opened(position(4, 0), at(30_000)),
      0,
    ],
  ])("begins anew after %s (Z4)", (_, event) => {
    const watch = underWay();
    watch.opened(position(3, 0), at(21_000));
    event(watch);
    expect(watch.opened(position(3, 0), at(41_000)).kind).toBe("goesOn");
  });
});

/** What happens in one of the sender's steps. */
type Fate = "arrives" | "answerLost" | "frameLost";

describe("a sender that watches its channel", () => {
  const fate = fc.constantFrom<Fate>("arrives", "arrives", "arrives", "answerLost", "frameLost");

  it("gets every frame through once, however many answers and frames are lost", () => {
    fc.assert(
      fc.property(fc.array(fate, { maxLength: 40 }), (fates) => {
        const { processed, stalls } = deliver(30, (n, isFirst) => {
          const drawn = fates[n] ?? "arrives";
          // What is lost again on the next session ends the attempt (Z4).
          return isFirst && drawn === "frameLost" ? "answerLost" : drawn;
        });
        expect(stalls).toBe(0);
        expect(processed).toEqual(Array.from({ length: 30 }, (_, n) => n));
      }),
    );
  });

  it("finds a receiver that gets nothing within three times the patience", () => {
    const { stalls, now } = deliver(3, () => "frameLost");
    expect(stalls).toBe(1);
    expect(now).toBeLessThanOrEqual(3 * patience);
  });
});

/** Plays a channel of window 4: a frame that is lost takes those behind it on its session along. */
function deliver(
  frames: number,
  fateOf: (push: number, isFirstOfSession: boolean) => Fate,
): { processed: number[]; stalls: number; now: Millis } {
  const window = new CreditWindow(4);
  const watch = new StallWatch(patience);
  const inbox = new Inbox(1);
  const processed: number[] = [];
  let now = at(0);
  let pushes = 0;
  let isDeaf = false;
  let isFirst = true;
  for (let n = 0; n < frames; n++) window.offer(encodeData(Uint8Array.of(n)));
  const open = (): boolean => {
    isDeaf = false;
    isFirst = true;
    const expected = inbox.expected(0);
    const outcome = watch.opened({ expected, settled: inbox.settled(0) }, now);
    if (outcome.kind === "stalled") return false;
    for (const settled of outcome.settled) window.settled(settled);
    const reopened = window.reopened(expected);
    expect(reopened.kind).toBe("resumed");
    return true;
  };
  open();
  while (!window.isSettled) {
    const out = window.take();
    for (const push of out) {
      watch.sent(push.seq, now);
      const drawn = fateOf(pushes++, isFirst);
      isFirst = false;
      isDeaf ||= drawn === "frameLost";
      if (isDeaf) continue;
      if (inbox.receive(0, push.seq, push.frame).kind === "accepted") {
        inbox.next(() => false);
        processed.push(push.seq);
      }
      if (drawn === "answerLost") continue;
      window.settled(push.seq);
      watch.settled(push.seq, now);
    }
    if (out.length > 0) continue;
    now = at(watch.dueAt ?? now);
    watch.closed();
    window.disconnected();
    if (!open()) return { processed, stalls: 1, now };
  }
  return { processed, stalls: 0, now };
}
