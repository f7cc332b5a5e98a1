// The rows with the greatest number, all of them where several have it.

import type { Aggregate } from "tidemark";

export const greatest = <T>(number: (row: T) => number): Aggregate<T, T[], readonly T[]> => ({
  create: () => [],
  add(held, row) {
    const ahead = held.length === 0 ? 1 : number(row) - number(held[0]!);
    if (ahead > 0) return [row];
    if (ahead === 0) held.push(row);
    return held;
  },
  merge(left, right) {
    if (left.length === 0 || right.length === 0) return [...left, ...right];
    const ahead = number(left[0]!) - number(right[0]!);
    if (ahead === 0) return [...left, ...right];
    return ahead > 0 ? left : right;
  },
  result: (held) => [...held],
});
