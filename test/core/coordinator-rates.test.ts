// What a coordinator makes of the counts that its subtasks tell: how fast they grow.

import { describe, expect, test } from "vitest";
import type { TaskRates } from "../../format/job-status.ts";
import { heartbeatInterval } from "../../format/limits.ts";
import { type DriverOptions, JobDriver, noMetrics } from "./job-driver.ts";

const perSecond = {
  recordsIn: 40,
  recordsOut: 20,
  bytesIn: 400,
  bytesOut: 200,
  backPressured: 250,
};
const none = { recordsIn: 0, recordsOut: 0, bytesIn: 0, bytesOut: 0, backPressured: 0 };

/** Its subtasks count evenly, from the beginning on. */
function running(options: DriverOptions = {}): JobDriver {
  const driver = new JobDriver({ checkpointing: { interval: 600_000 }, ...options });
  counting(driver);
  driver.deployAll();
  return driver;
}

function counting(driver: JobDriver): void {
  const since = driver.now;
  driver.metricsOf = () => {
    const seconds = (driver.now - since) / 1_000;
    return {
      ...noMetrics,
      recordsIn: perSecond.recordsIn * seconds,
      recordsOut: perSecond.recordsOut * seconds,
      bytesIn: perSecond.bytesIn * seconds,
      bytesOut: perSecond.bytesOut * seconds,
      backPressuredTime: perSecond.backPressured * seconds,
    };
  };
}

const ratesOf = (driver: JobDriver): (TaskRates | undefined)[] =>
  driver.job.details().tasks.map(({ rates }) => rates);

const all = (driver: JobDriver, rates: TaskRates | undefined) => driver.tasks.map(() => rates);

describe("the rates of a subtask", () => {
  test("are there once it has told its counts twice", () => {
    const driver = running();
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.advance(heartbeatInterval);
    expect(driver.job.details().tasks[0]!.metrics).toBeDefined();
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.advance(heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, { at: driver.now, ...perSecond }));
  });

  test("are over the last heartbeats, not over all of them", () => {
    const driver = running();
    driver.advance(2 * heartbeatInterval);
    const { metricsOf } = driver;
    const last = metricsOf(driver.tasks[0]!);
    driver.metricsOf = () => last;
    driver.advance(heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, { at: driver.now, ...none }));
  });

  test("are not over what came a moment after a heartbeat (R2)", () => {
    const driver = running({ checkpointing: { interval: 2.4 * heartbeatInterval } });
    driver.advance(2 * heartbeatInterval);
    const told = ratesOf(driver);
    expect(told[0]).toBeDefined();
    // The answers to the notification have counts, and jump.
    const { metricsOf } = driver;
    driver.metricsOf = (task) => ({ ...metricsOf(task), recordsIn: 1e6 });
    driver.complete();
    expect(driver.job.details().tasks[0]!.metrics?.recordsIn).toBe(1e6);
    expect(ratesOf(driver)).toEqual(told);
  });

  test("are never below zero, nor more than all of the time (R3)", () => {
    const driver = running();
    driver.advance(heartbeatInterval);
    driver.metricsOf = () => ({ ...noMetrics, backPressuredTime: 1e6 });
    driver.advance(heartbeatInterval);
    const expected = { ...none, at: driver.now, backPressured: 1_000 };
    expect(ratesOf(driver)).toEqual(all(driver, expected));
  });

  test("begin anew with an attempt, and are none meanwhile", () => {
    const driver = running();
    driver.advance(2 * heartbeatInterval);
    expect(ratesOf(driver)[0]).toBeDefined();
    driver.fail();
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.advance(1_000);
    counting(driver);
    driver.deployAll();
    driver.advance(heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.advance(heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, { at: driver.now, ...perSecond }));
  });

  test("are not persisted: after a reload two heartbeats make them again (R1)", () => {
    const driver = running();
    driver.advance(2 * heartbeatInterval);
    expect(JSON.stringify(driver.record)).not.toMatch(/rates|backPressured|recordsIn/);
    driver.reload();
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.advance(2 * heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, { at: driver.now, ...perSecond }));
  });

  test("are zero while the job rests, and count from when it wakes (S4)", () => {
    const driver = running({ checkpointing: { interval: 30_000 } });
    const id = driver.complete();
    const last = driver.metricsOf(driver.tasks[0]!);
    driver.metricsOf = () => last;
    driver.activityOf = () => ({ isIdle: true, cleanSince: id });
    driver.advance(3 * heartbeatInterval);
    const { restingSince } = driver.record;
    expect(restingSince).toBeDefined();
    expect(ratesOf(driver)).toEqual(all(driver, { at: restingSince!, ...none }));
    driver.sleep(3_600_000);
    expect(ratesOf(driver)).toEqual(all(driver, { at: restingSince!, ...none }));
    driver.activityOf = () => ({ isIdle: false });
    driver.active();
    expect(ratesOf(driver)).toEqual(all(driver, undefined));
    driver.metricsOf = () => ({ ...last, recordsIn: last.recordsIn + 100 });
    driver.advance(heartbeatInterval);
    expect(ratesOf(driver)).toEqual(all(driver, { ...none, at: driver.now, recordsIn: 20 }));
  });
});
