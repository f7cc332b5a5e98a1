// A table of which rows go, as it is read over HTTP.

import { afterEach, expect, test } from "vitest";
import { heal } from "./faults.ts";
import { becomes, call, json, killSubtask, run } from "./harness.ts";

afterEach(heal);

async function send(...orders: readonly [order: string, buyer: string, due: number][]) {
  const body = JSON.stringify(orders.map(([order, buyer, due]) => ({ order, buyer, due })));
  await json(await call("/topics/orders/records", { method: "POST", body }));
}

test("rows that are deleted are gone from a table, by key and in the list, and stay so", async () => {
  const [onHeap, inRows] = await Promise.all([
    run("open"),
    run("open", { "state.backend": "sqlite" }),
  ]);
  await send(["1", "ada", 10], ["2", "ada", 5], ["3", "bob", 7]);
  for (const job of [onHeap, inRows]) {
    await becomes(
      () => job.rows("buyers"),
      [
        { key: "ada", due: 15, orders: 2 },
        { key: "bob", due: 7, orders: 1 },
      ],
    );
  }
  // Some change, and bob has none left.
  await send(["1", "ada", 12], ["3", "bob", 0], ["2", "cay", 5]);
  const left = [
    { key: "ada", due: 12, orders: 1 },
    { key: "cay", due: 5, orders: 1 },
  ];
  for (const job of [onHeap, inRows]) {
    await job.settlesAt("buyers", left);
    expect((await call(`/jobs/${job.id}/tables/buyers/bob`)).status).toBe(404);
    expect(await job.rows("buyers", "latest")).toEqual(left);
    await killSubtask(job.id, await job.task("by-buyer/0"));
    await job.running(2);
    await job.settlesAt("buyers", left);
  }
  await send(["4", "bob", 1]);
  for (const job of [onHeap, inRows]) {
    const all = [left[0], { key: "bob", due: 1, orders: 1 }, left[1]];
    await becomes(() => job.rows("buyers"), all);
    await job.cancel();
  }
}, 90_000);
