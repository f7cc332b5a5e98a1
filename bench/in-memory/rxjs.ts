// count and sum by key with RxJS: a group per user, a scan in each.

import { from, groupBy, map, mergeMap, scan } from "rxjs";

import { batches, type Purchase, type Tally } from "../data.ts";

function* rowsUpTo(rows: number): Generator<Purchase> {
  for (const batch of batches(rows)) yield* batch;
}

export function countWithRxjs(rows: number): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  from(rowsUpTo(rows))
    .pipe(
      groupBy((row) => row.user),
      mergeMap((group) =>
        group.pipe(
          scan((tally: Tally, row) => ({ n: tally.n + 1, total: tally.total + row.amount }), {
            n: 0,
            total: 0,
          }),
          map((tally) => [group.key, tally] as const),
        ),
      ),
    )
    .subscribe(([user, tally]) => tallies.set(user, tally));
  return tallies;
}
