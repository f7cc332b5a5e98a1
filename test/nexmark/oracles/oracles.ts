// For each query a plain loop that says what it should come to, without a line of the engine.

import { q0, q1, q14, q2, q21, q22 } from "./bid-by-bid.ts";
import { q15, q16, q17, q18, q19 } from "./by-group.ts";
import type { Oracle } from "./house.ts";

export const oracles: Readonly<Record<string, Oracle>> = {
  q0,
  q1,
  q2,
  q14,
  q15,
  q16,
  q17,
  q18,
  q19,
  q21,
  q22,
};
