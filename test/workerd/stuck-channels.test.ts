// Answers that never come: of a push, of an opening, of a report. Nothing breaks, so nothing but the
// time that passes tells it from a receiver that takes its time.

import { afterEach, describe, expect, test } from "vitest";

import { needsCredit } from "../../format/frame.ts";
import type { ChannelSession } from "../../format/messages.ts";
import { channelKey } from "../../format/plan.ts";
import { faults, Gate, hangs, heal } from "./faults.ts";
import { Producer, run, type TestJob, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

afterEach(heal);

const patience = 400;
const unbuffered = { "execution.buffer-timeout.interval": "0" };

/** A counting job under the faults of the moment, until its table is exact. */
async function counts(settings: Readonly<Record<string, string>> = {}): Promise<TestJob> {
  faults.patience = patience;
  const producer = new Producer(unusedCopy());
  const job = await run(producer.topic, { ...unbuffered, ...settings });
  await job.running();
  for (let request = 0; request < 30; request++) await producer.send();
  await job.settlesAt("tallies", producer.expected);
  return job;
}

describe("a push that is never answered", () => {
  test("although its frame was processed gives its credit back", async () => {
    const lost = new Set<string>();
    faults.onPush = async ({ request, seq }, forward) => {
      const key = `${request.channel.from.vertex} ${channelKey(request.channel)}`;
      // More of each channel than its window holds.
      if (seq % 2 === 0 || seq > 16) return forward();
      lost.add(`${key} ${seq}`);
      await forward();
      return hangs();
    };
    const job = await counts();
    expect(lost.size).toBeGreaterThan(8);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("and whose frame was lost with all behind it is sent again", async () => {
    const deaf = new Set<unknown>();
    const once = new Set<string>();
    faults.onPush = ({ request, seq, session }, forward) => {
      const key = `${request.channel.from.vertex} ${channelKey(request.channel)}`;
      if (seq === 3 && !once.has(key)) {
        once.add(key);
        deaf.add(session);
      }
      return deaf.has(session) ? hangs() : forward();
    };
    const job = await counts();
    expect(once.size).toBeGreaterThan(4);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("by a receiver that goes nowhere ends the attempt, which names both ends", async () => {
    let isDeaf = true;
    let victim = "";
    faults.onPush = ({ request, frame }, forward) => {
      const key = `${request.channel.from.vertex} ${channelKey(request.channel)}`;
      if (victim === "" && needsCredit(frame)) victim = key;
      // Of this channel nothing ever arrives, on any session, as long as the attempt goes on.
      if (request.attempt > 1) isDeaf = false;
      return isDeaf && key === victim ? hangs() : forward();
    };
    const job = await counts();
    expect(await job.attempt()).toBe(2);
    const { failures } = await job.details();
    expect(failures[0]?.name).toBe("ChannelStalled");
    expect(failures[0]?.message).toMatch(
      /^Channel from \S+ to \S+: frame \d+ has waited for \d+ ms\. .* waits for nothing, and said so \d+ ms ago as well\.$/,
    );
    await job.cancel();
  });
});

describe("what is not taken for a stuck channel", () => {
  test("is a receiver that cannot send on what it made, for many times the patience", async () => {
    faults.patience = patience;
    const gate = new Gate();
    const program = unusedCopy();
    const producer = new Producer(program);
    for (let request = 0; request < 100; request++) await producer.send(50);
    const slow = { vertex: "" };
    let held = 0;
    const turns = new Map<ChannelSession, Promise<void>>();
    // The last vertex takes nothing until the gate opens and names a reason, as one would whose sink
    // writes for minutes. That of the vertex before it is a real one.
    faults.onPush = ({ request, session }, forward) => {
      if (request.channel.to.vertex !== slow.vertex) return forward();
      held++;
      // In order, as the session itself is.
      const turn = (turns.get(session) ?? Promise.resolve()).then(() => gate.pass());
      turns.set(session, turn);
      return turn.then(forward);
    };
    faults.onOpen = async (request, open) => {
      const outcome = await open();
      if (request.channel.to.vertex !== slow.vertex || outcome.kind !== "open") return outcome;
      return { ...outcome, waitsFor: "output" };
    };
    const job = await run(program, unbuffered);
    slow.vertex = (await job.task("tally/0")).vertex;
    await job.running();
    await until("frames are held", () => held > 20);
    await scheduler.wait(6 * patience);
    expect(await job.attempt()).toBe(1);
    gate.open();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });
});

describe("a call that is never answered", () => {
  test("is repeated where it opens a session", async () => {
    const hung = new Set<string>();
    faults.onOpen = (request, open) => {
      const key = `${request.channel.from.vertex} ${channelKey(request.channel)}`;
      if (hung.has(key)) return open();
      hung.add(key);
      return hangs();
    };
    const job = await counts();
    expect(hung.size).toBe(8);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("is repeated where it acknowledges a checkpoint", async () => {
    let hung = 0;
    faults.onAcknowledge = (_, forward) => (hung++ < 3 ? hangs() : forward());
    const job = await counts({ "execution.checkpointing.interval": "100 ms" });
    const { latest, counts: numbers } = await job.checkpoints();
    expect(hung).toBeGreaterThan(3);
    expect(numbers.failed).toBe(0);
    expect(latest.completed?.id).toBeGreaterThan(1);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("is given up where it uploads a snapshot, after the time of a checkpoint", async () => {
    let hung = 0;
    faults.onPut = (path, put) => (!path.endsWith("/_metadata") && hung++ === 0 ? hangs() : put());
    const job = await counts({
      "execution.checkpointing.timeout": "500 ms",
      "execution.checkpointing.tolerable-failed-checkpoints": "1000",
      "execution.checkpointing.data-inline-threshold": "0",
    });
    const { latest, counts: numbers } = await job.checkpoints();
    expect(hung).toBeGreaterThan(1);
    expect(numbers.failed).toBeGreaterThan(0);
    expect(latest.failed).not.toBeNull();
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });
});
