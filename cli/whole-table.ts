// A table whole, which is answered a page at a time.
//   W1. What is committed is of one checkpoint: where another has completed between two pages, all of it is
//       read again, a few times.

import { Problem } from "./problem.ts";

/** Rows of a table, and the checkpoint whose rows these are; null before the first, and of the latest rows. */
export interface ReadTable<Row> {
  readonly checkpoint: number | null;
  readonly rows: readonly Row[];
}

export interface TablePage<Row> extends ReadTable<Row> {
  readonly next: string | null;
}

/** What one page is asked for with. */
export interface PageQuery {
  readonly limit: string;
  readonly after?: string;
}

/** Rows of a page. */
const limit = "20000";

const triesMax = 5;

/**
 * Asks for pages until there are none; undefined where one is not answered just now.
 * @throws Problem where checkpoints complete faster than the table is read
 */
export async function wholeTable<Row, Page extends TablePage<Row>>(
  ask: (query: PageQuery) => Promise<Page | undefined>,
): Promise<Page | undefined> {
  for (let tries = 0; tries < triesMax; tries++) {
    const first = await ask({ limit });
    if (first === undefined) return undefined;
    const rows = [...first.rows];
    let { next } = first;
    while (next !== null) {
      const page = await ask({ limit, after: next });
      if (page === undefined) return undefined;
      if (page.checkpoint !== first.checkpoint) break;
      for (const row of page.rows) rows.push(row);
      ({ next } = page);
    }
    if (next === null) return { ...first, rows, next };
  }
  throw new Problem(
    "Checkpoints complete faster than the table is read. Read its latest rows (--latest), or one page.",
  );
}

/** The query as text. */
export const pageText = (query: PageQuery): string => new URLSearchParams({ ...query }).toString();
