// Steps as plain functions over items.

import { isRejected, type Item, type StepShape, stepFunctions } from "./topology.ts";

export const applied = (steps: readonly StepShape[], items: readonly Item[]): readonly Item[] =>
  steps.reduce<readonly Item[]>((before, { kind, version = 0 }) => {
    if (kind === "map") return before.map(stepFunctions.map(version));
    if (kind === "filter") return before.filter(stepFunctions.filter);
    if (kind === "reject") return before.filter((item) => !isRejected(item));
    return before.flatMap(stepFunctions.flatMap);
  }, items);
