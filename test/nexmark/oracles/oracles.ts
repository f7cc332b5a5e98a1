// For each query a plain loop that says what it should come to, without a line of the engine.

import * as bidByBid from "./bid-by-bid.ts";
import * as byGroup from "./by-group.ts";
import * as byWindow from "./by-window.ts";
import type { Oracle } from "./house.ts";
import * as joined from "./joined.ts";

export const oracles: Readonly<Record<string, Oracle>> = {
  ...bidByBid,
  ...byGroup,
  ...byWindow,
  ...joined,
};
