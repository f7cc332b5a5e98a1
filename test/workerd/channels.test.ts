import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, test } from "vitest";

import { needsCredit } from "../../format/frame.ts";
import { attempt } from "../../format/ids.ts";
import { channelWindow } from "../../format/limits.ts";
import type { ChannelSession } from "../../format/messages.ts";
import { channelKey } from "../../format/plan.ts";
import { faults, Gate, heal, type Push } from "./faults.ts";
import { Producer, run, subtaskOf, type TestJob, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

afterEach(heal);

/** Every batch is a frame at once. */
const unbuffered = { "execution.buffer-timeout.interval": "0" };

/** Runs a counting job whose channels do what `onPush` says, until its table is exact. */
async function counts(onPush: NonNullable<typeof faults.onPush>): Promise<TestJob> {
  faults.onPush = onPush;
  const program = unusedCopy();
  const producer = new Producer(program);
  const job = await run(program, unbuffered);
  await job.running();
  for (let request = 0; request < 40; request++) await producer.send();
  await job.settlesAt("tallies", producer.expected);
  return job;
}

/** Does `harm` to every third frame, rows or barrier, when it is first pushed. */
function sometimes(
  harm: (push: Push, forward: () => Promise<void>) => Promise<void>,
): NonNullable<typeof faults.onPush> & { readonly harmed: Map<string, "rows" | "barrier"> } {
  const harmed = new Map<string, "rows" | "barrier">();
  const onPush = (push: Push, forward: () => Promise<void>): Promise<void> => {
    const { request, seq: number, frame } = push;
    const key = `${request.channel.from.vertex} ${channelKey(request.channel)} ${number}`;
    if (number % 3 !== 1 || harmed.has(key)) return forward();
    harmed.set(key, needsCredit(frame) ? "rows" : "barrier");
    return harm(push, forward);
  };
  return Object.assign(onPush, { harmed });
}

/** There were enough of both kinds. */
function hasHarmed({ harmed }: ReturnType<typeof sometimes>): void {
  const kinds = [...harmed.values()];
  expect(kinds.filter((kind) => kind === "rows").length).toBeGreaterThan(20);
  expect(kinds.filter((kind) => kind === "barrier").length).toBeGreaterThan(5);
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
    hasHarmed(onPush);
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
    hasHarmed(onPush);
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
    hasHarmed(lossy);
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
      const job = await run(program, unbuffered);
      await job.running();
      // Two sources, two channels each: all that can be on its way.
      await until("the windows are full", () => pushed === 2 * 2 * channelWindow);
      let read = 0;
      for (const title of ["events/0", "events/1"]) {
        const source = subtaskOf(job.id, await job.task(title));
        const outcome = await source.heartbeat(attempt(1));
        expect(outcome).toMatchObject({ kind: "ok" });
        if (outcome.kind === "ok") read += outcome.metrics.recordsIn;
      }
      expect(read).toBeGreaterThan(0);
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

  // SourceStreamTaskTest and SourceOperatorStreamTaskTest ask the same of their sources.
  test("SourceOperatorTest, NumberSequenceSourceITCase: makes the source behind it read again what it had read ahead at the barrier", async () => {
    const gate = new Gate();
    const turns = new Map<ChannelSession, Promise<void>>();
    let held = 0;
    faults.onPush = (push, forward) => {
      held++;
      const turn = (turns.get(push.session) ?? Promise.resolve()).then(() => gate.pass());
      turns.set(push.session, turn);
      return turn.then(forward);
    };
    const program = unusedCopy();
    const producer = new Producer(program);
    for (let request = 0; request < 100; request++) await producer.send(50);
    const job = await run(program, { ...unbuffered, "execution.checkpointing.interval": "400 ms" });
    await until("the windows are full", () => held >= 2 * 2 * channelWindow);
    // Its barrier enters the stream while the sources hold batches that may not leave.
    await until("a checkpoint is pending", async () => {
      return (await job.checkpoints()).counts.in_progress === 1;
    });
    gate.open();
    await until("it completes", async () => (await job.checkpoints()).counts.completed === 1);
    await abortAllDurableObjects();
    await job.settlesAt("tallies", producer.expected);
    expect((await job.checkpoints()).latest.restored).toMatchObject({ id: 1 });
    expect(await job.attempt()).toBe(2);
    await job.cancel();
  });
});
