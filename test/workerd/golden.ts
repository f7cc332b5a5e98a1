// What the golden pipelines show on the real runtime.

import { expect } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { offset } from "../../format/ids.ts";
import { type Fed, inOrder, tables } from "../golden/pipelines.ts";
import { becomes, call, json, partitionOf, type TestJob, until } from "./harness.ts";

/** Sends rows, once. */
export async function post(topic: string, rows: readonly object[]): Promise<void> {
  const key = crypto.randomUUID();
  const init = { method: "POST", body: JSON.stringify(rows), headers: { "Idempotency-Key": key } };
  await until("the records are accepted", async () => {
    const response = await call(`/topics/${topic}/records`, init);
    if (response.status === 503) return false;
    await json(response);
    return true;
  });
}

/** The tables and the dead letters come to be what was fed. */
export async function comesToBe(job: TestJob, topics: string, fed: Fed): Promise<void> {
  const { expected } = fed;
  for (const table of tables) {
    const shown = async (): Promise<unknown> => {
      // A rule may still have been on its way when it was asked for the last time.
      if (table === "rules" || table === "held") await post(`${topics}-events`, fed.questions());
      return inOrder((await job.rows(table)) ?? []);
    };
    await becomes(shown, expected[table]);
  }
  await becomes(() => lettersIn(`${topics}-letters`), fed.letters);
  await job.completes(2);
  expect(await lettersIn(`${topics}-letters`)).toEqual(fed.letters);
}

/** The numbers in the dead letters of a topic, in order. */
async function lettersIn(topic: string): Promise<number[]> {
  const reader = await partitionOf(topic, 0).openReader();
  const found: number[] = [];
  for (let from = 0; ;) {
    const batches = await reader.read(offset(from), 0);
    if (batches.length === 0) break;
    for (const { first, count, bytes } of batches) {
      const letters = decodeRows(bytes) as { value: { n: number } }[];
      found.push(...letters.map(({ value }) => value.n));
      from = first + count;
    }
  }
  return found.sort((left, right) => left - right);
}
