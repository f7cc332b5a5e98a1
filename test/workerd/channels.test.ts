import { afterEach, describe, expect, test } from "vitest";

import { needsCredit } from "../../format/frame.ts";
import { channelWindow } from "../../format/limits.ts";
import type { ChannelSession } from "../../format/messages.ts";
import { channelKey } from "../../format/plan.ts";
import { faults, Gate, heal, type Push } from "./faults.ts";
import { Producer, run, type TestJob, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

afterEach(heal);

/** Runs a counting job whose channels do what `onPush` says, until its table is exact. */
async function counts(onPush: NonNullable<typeof faults.onPush>): Promise<TestJob> {
  faults.onPush = onPush;
  const program = unusedCopy();
  const producer = new Producer(program);
  const job = await run(program);
  for (let request = 0; request < 30; request++) await producer.send();
  await job.settlesAt("tallies", producer.expected);
  return job;
}

/** Does `harm` to the first push of every fifth number, once on each channel. */
function sometimes(
  harm: (push: Push, forward: () => Promise<void>) => Promise<void>,
): NonNullable<typeof faults.onPush> & { readonly harmed: Set<string> } {
  const harmed = new Set<string>();
  const onPush = (push: Push, forward: () => Promise<void>): Promise<void> => {
    const { request, seq: number } = push;
    const key = `${request.channel.from.vertex} ${channelKey(request.channel)} ${number}`;
    if (number % 5 !== 3 || harmed.has(key)) return forward();
    harmed.add(key);
    return harm(push, forward);
  };
  return Object.assign(onPush, { harmed });
}

describe("a push", () => {
  test("that arrives twice counts once, and both are answered", async () => {
    let answered = 0;
    const onPush = sometimes(async ({ session, seq: number, frame }, forward) => {
      await Promise.all([forward(), session.push(number, frame), session.settled(number)]);
      await session.push(number, frame);
      answered++;
    });
    const job = await counts(onPush);
    expect(onPush.harmed.size).toBeGreaterThan(5);
    await until("all are answered", () => answered === onPush.harmed.size);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("whose answer is lost is made up for in the next session", async () => {
    const onPush = sometimes(async (_, forward) => {
      void forward().catch(() => {});
      throw new Error("The session broke after the push (injected).");
    });
    const job = await counts(onPush);
    expect(onPush.harmed.size).toBeGreaterThan(5);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("that is lost with its session is sent again", async () => {
    // What the sender pushed behind it on the same session is lost as well, as on a real one.
    const broken = new Set<unknown>();
    const lossy = sometimes(async ({ session }) => {
      broken.add(session);
      throw new Error("The session broke before the push (injected).");
    });
    const job = await counts(async (push, forward) => {
      if (broken.has(push.session)) throw new Error("The session is broken (injected).");
      return lossy(push, forward);
    });
    expect(broken.size).toBeGreaterThan(5);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("that is lost on a session that goes on ends the attempt, and nothing is lost", async () => {
    let isLost = false;
    const job = await counts(async ({ frame }, forward) => {
      if (isLost || !needsCredit(frame)) return forward();
      isLost = true;
    });
    expect(await job.attempt()).toBe(2);
    const { failures } = await job.details();
    expect(failures[0]?.message).toMatch(/delivered frame \d+, \d+ was expected/);
    await job.cancel();
  });
});

describe("a receiver that does not keep up", () => {
  test(
    "stops its senders at the window, and the source behind them",
    { timeout: 60_000 },
    async () => {
      const gate = new Gate();
      const inFlight = new Map<string, number>();
      let most = 0;
      let pushed = 0;
      const turns = new Map<ChannelSession, Promise<void>>();
      faults.onPush = async ({ request, frame, session }, forward) => {
        // In order, as the session itself is.
        const turn = (turns.get(session) ?? Promise.resolve()).then(() => gate.pass());
        turns.set(session, turn);
        if (!needsCredit(frame)) return turn.then(forward);
        pushed++;
        const key = `${request.channel.to.vertex} ${channelKey(request.channel)}`;
        const now = (inFlight.get(key) ?? 0) + 1;
        inFlight.set(key, now);
        most = Math.max(most, now);
        await turn;
        await forward();
        inFlight.set(key, (inFlight.get(key) ?? 0) - 1);
      };
      const program = unusedCopy();
      const producer = new Producer(program);
      for (let request = 0; request < 200; request++) await producer.send(50);
      const job = await run(program, { "execution.buffer-timeout.interval": "0" });
      await job.running();
      // Two sources, two channels each: all that can be on its way.
      await until("the windows are full", () => pushed === 2 * 2 * channelWindow);
      await until("the next heartbeat tells what the sources have read", async () => {
        const { tasks } = await job.details();
        const sources = tasks.filter(({ metrics }) => (metrics?.bytesOut ?? 0) > 0);
        return sources.length === 2 && sources.every(({ metrics }) => metrics!.recordsIn > 0);
      });
      const { tasks } = await job.details();
      const read = tasks.reduce((sum, { metrics }) => sum + (metrics?.recordsIn ?? 0), 0);
      expect(read).toBeLessThan(producer.sent / 5);
      expect(pushed).toBe(2 * 2 * channelWindow);

      gate.open();
      await job.settlesAt("tallies", producer.expected);
      expect(most).toBeLessThanOrEqual(channelWindow);
      expect([...inFlight.values()].every((count) => count === 0)).toBe(true);
      expect(await job.attempt()).toBe(1);
      await job.cancel();
    },
  );
});
