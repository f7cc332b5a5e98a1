// What may have been left in the bucket is looked for until it has been found. All three were found
// by the simulator: seeds 432, 2513 and 11004 of their day.

import { expect, test } from "vitest";
import { JobDriver } from "./job-driver.ts";

const running = (): JobDriver => {
  const driver = new JobDriver();
  driver.deployAll();
  driver.complete();
  driver.take();
  return driver;
};

test("CheckpointsCleanerTest: files that were not deleted are found by a sweep after the next checkpoint", () => {
  const driver = running();
  driver.event((job, now) => job.notDeleted(now));
  driver.take();
  driver.complete();
  expect(driver.kinds()).toContain("sweep");
  expect(driver.kinds()).not.toContain("deleteFiles");
  driver.take();
  driver.complete();
  expect(driver.kinds()).not.toContain("sweep");
});

test("after a reload nobody knows whether the last deletions were carried out", () => {
  const driver = running();
  driver.reload();
  driver.take();
  driver.complete();
  expect(driver.kinds()).toContain("sweep");
});

test("a sweep that began before a failed deletion does not stand for it", () => {
  const driver = running();
  driver.auto.delete("sweep");
  driver.event((job, now) => job.notDeleted(now));
  driver.complete();
  const [sweep] = driver.requests("sweep");
  driver.event((job, now) => job.notDeleted(now));
  driver.answer(sweep!);
  driver.take();
  driver.complete();
  expect(driver.kinds()).toContain("sweep");
});
