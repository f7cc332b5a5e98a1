// discard: takes rows and keeps nothing.

import type { Operator } from "./operator.ts";

export const discardOperator: Operator = {
  processBatch() {
    // The rows have come as far as they are to.
  },
};
