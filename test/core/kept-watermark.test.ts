// How far an operator has come for the keys that it takes over (task/kept-watermark.ts).

import { expect, test } from "vitest";

import type { KeyGroup } from "../../format/key-groups.ts";
import { KeptWatermark } from "../../task/kept-watermark.ts";

const range = (first: number, last: number) => ({
  first: first as KeyGroup,
  last: last as KeyGroup,
});

test("keys that had come further keep that, also once they were asked about at a later time", () => {
  const kept = new KeptWatermark(range(0, 9), 10, [
    { ...range(0, 4), time: 100 },
    { ...range(5, 9), time: 300 },
  ]);
  expect(kept.least).toBe(100);
  // Event time passes on its way to its end, and a snapshot does not keep the end.
  expect(kept.of(Infinity)).toBe(Infinity);
  expect(kept.elements(200)).toEqual([
    { ...range(5, 9), time: 300 },
    { ...range(0, 4), time: 200 },
  ]);
});
