import { expect, test } from "vitest";

import { Prng } from "../../sim/prng.ts";
import { drawSchedule, type Fault, faultKinds } from "../chaos/schedule.ts";

const world = { milliseconds: 600_000, objects: 17, loose: 5 };
const draw = (seed: number) => drawSchedule(new Prng(seed), world);

test("a seed is a schedule, and another seed is another", () => {
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
});

test("a schedule fills its time with faults of every kind", () => {
  const schedule = draw(3);
  const total = schedule.reduce((sum, { gap }) => sum + gap, 0);
  expect(total).toBeLessThan(world.milliseconds);
  expect(total).toBeGreaterThan(world.milliseconds - 5_000);
  expect(new Set(schedule.map(({ fault }) => fault.kind))).toEqual(new Set(faultKinds));
});

test("every object is aborted some time, and evictions prefer those that nobody holds", () => {
  const faults = Array.from({ length: 20 }, (_, seed) => draw(seed)).flatMap((schedule) =>
    schedule.map(({ fault }) => fault),
  );
  const struck = (kind: "abort" | "evict"): number[] =>
    faults.flatMap((fault: Fault) => (fault.kind === kind ? fault.object : []));
  const everyone = Array.from({ length: world.objects }, (_, object) => object);
  expect([...new Set(struck("abort"))].sort((a, b) => a - b)).toEqual(everyone);
  const evicted = struck("evict");
  const loose = evicted.filter((object) => object >= world.objects - world.loose);
  expect(loose.length).toBeGreaterThan(evicted.length / 2);
});
