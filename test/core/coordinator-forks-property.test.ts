// A job and its fork under whatever comes: failures, ends and lost coordinators of either, calls between
// them that are late, lost, repeated, or whose answer is lost. What the fork goes back to is always
// there, and when both have ended nothing is left.

import fc from "fast-check";
import { expect, test } from "vitest";

import { askAfter } from "../../coordinator/holds.ts";
import { isTerminal } from "../../coordinator/job-record.ts";
import { jobIdFrom } from "../../format/ids.ts";
import { JobDriver } from "./job-driver.ts";

const forkId = jobIdFrom(new Uint8Array(16).fill(9));

class Pair {
  readonly origin: JobDriver;
  readonly fork: JobDriver;

  constructor(retained: number) {
    const restart = { attempts: 1_000 };
    this.origin = new JobDriver({ checkpointing: { retained }, restart });
    this.origin.deployAll();
    this.origin.complete();
    const answer = this.origin.hold({ by: forkId });
    if (answer.kind !== "held") throw new Error(answer.reason);
    const { hold, path } = answer;
    const { id: checkpoint } = this.origin.record.holds![0]!.checkpoint;
    this.fork = new JobDriver({
      job: forkId,
      bucket: this.origin.bucket,
      restart,
      restore: { path, checkpoint, allowNonRestoredState: false, hold },
    });
  }

  /** The calls that are under way reach the other job. `isHeard`: their answers come back, too. */
  carry({ isHeard }: { isHeard: boolean }): void {
    for (const request of this.fork.requests("letGo")) {
      this.origin.event((job, now) => job.released(request.hold.nth, now));
      if (isHeard) this.fork.answer(request);
    }
    for (const request of this.origin.requests("askHolder")) {
      const isNeeded = this.fork.job.needs(request.hold);
      this.origin.inFlight = this.origin.inFlight.filter((each) => each !== request);
      if (!isHeard) continue;
      this.origin.event((job, now) => job.holderAnswered(request.hold.nth, isNeeded, now));
    }
  }
}

const complete = (driver: JobDriver): void => {
  driver.deployAll();
  if (driver.record.phase === "RUNNING") driver.complete({ full: true });
};

/** The first one is of the fork's own: it refers to nothing of what it began with. */
const deltaOf = (driver: JobDriver): void => {
  driver.deployAll();
  const isFirst = driver.record.restore !== undefined && driver.retained.length === 0;
  if (driver.record.phase === "RUNNING") driver.complete({ full: isFirst });
};

const failing = (driver: JobDriver): void => {
  if (driver.record.phase === "RUNNING") driver.fail();
};

const steps: Readonly<Record<string, (pair: Pair) => void>> = {
  "the origin completes a checkpoint": ({ origin }) => complete(origin),
  "the origin completes a delta": ({ origin }) => deltaOf(origin),
  "the origin fails": ({ origin }) => failing(origin),
  "the origin's coordinator is lost": ({ origin }) => origin.reload({ landed: true }),
  "the origin is cancelled": ({ origin }) => void origin.cancel(),
  "the origin's time passes": ({ origin }) => origin.advance(askAfter),
  "the fork is deployed": ({ fork }) => fork.deployAll(),
  "the fork completes a checkpoint": ({ fork }) => complete(fork),
  "the fork completes a delta": ({ fork }) => deltaOf(fork),
  "the fork fails": ({ fork }) => failing(fork),
  "the fork's coordinator is lost": ({ fork }) => fork.reload({ landed: true }),
  "the fork is cancelled": ({ fork }) => void fork.cancel(),
  "the fork's time passes": ({ fork }) => fork.advance(20_000),
  "calls arrive": (pair) => pair.carry({ isHeard: true }),
  "calls arrive, and their answers do not": (pair) => pair.carry({ isHeard: false }),
};

function check({ origin, fork }: Pair): void {
  const { phase, checkpoints, restore } = fork.record;
  if (isTerminal(phase) || checkpoints.retained.length > 0) return;
  const { files } = origin.record.holds!.find(({ path }) => path === restore!.path)!.checkpoint;
  for (const path of files) {
    if (!origin.bucket.has(path)) throw new Error(`${path} is gone, and the fork goes back to it.`);
  }
}

test("what a fork goes back to is there, and nothing stays that nobody needs", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.constantFrom(...Object.keys(steps)), { maxLength: 25 }),
      (retained, names) => {
        const pair = new Pair(retained);
        for (const name of names) {
          steps[name]!(pair);
          check(pair);
        }
        const { origin, fork } = pair;
        for (const driver of [origin, fork]) driver.cancel();
        for (let minutes = 0; minutes < 5; minutes++) {
          pair.carry({ isHeard: true });
          for (const driver of [origin, fork]) driver.advance(60_000);
        }
        expect(origin.record.holds).toEqual([]);
        expect([...origin.bucket.keys()]).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});
