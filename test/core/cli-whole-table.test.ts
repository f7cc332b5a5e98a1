// How a table that is answered in pages is read whole.

import { expect, test } from "vitest";

import { type PageQuery, type TablePage, wholeTable } from "../../cli/whole-table.ts";

/** Answers pages of two rows, those of each call under the next of these checkpoints. */
function pages(rows: readonly number[], checkpoints: readonly number[]) {
  const asked: PageQuery[] = [];
  const ask = async (query: PageQuery): Promise<TablePage<number> | undefined> => {
    const checkpoint = checkpoints[asked.length];
    asked.push(query);
    if (checkpoint === undefined) return undefined;
    const from = Number(query.after ?? 0);
    const end = from + 2;
    return { checkpoint, rows: rows.slice(from, end), next: end < rows.length ? `${end}` : null };
  };
  return { ask, asked };
}

test("is asked for until there is no next page", async () => {
  const { ask, asked } = pages([1, 2, 3, 4, 5], [7, 7, 7]);
  expect(await wholeTable(ask)).toEqual({ checkpoint: 7, rows: [1, 2, 3, 4, 5], next: null });
  expect(asked.map(({ after }) => after)).toEqual([undefined, "2", "4"]);
});

test("is read again where a checkpoint completes in between", async () => {
  const { ask, asked } = pages([1, 2, 3], [7, 8, 8, 8]);
  expect(await wholeTable(ask)).toEqual({ checkpoint: 8, rows: [1, 2, 3], next: null });
  expect(asked).toHaveLength(4);
});

test("is refused where that goes on, and there is none where a page is not answered", async () => {
  const growing = Array.from({ length: 20 }, (_, at) => at);
  await expect(wholeTable(pages([1, 2, 3], growing).ask)).rejects.toThrow(/--latest/);
  expect(await wholeTable(pages([1, 2, 3], [1]).ask)).toBeUndefined();
});
