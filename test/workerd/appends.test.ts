import { afterEach, describe, expect, onTestFinished, test } from "vitest";

import { faults, heal } from "./faults.ts";
import { call, json, killPartition, Producer, run, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

afterEach(heal);

interface Appended {
  readonly records: number;
  readonly partitions: readonly { readonly partition: number; readonly first: number }[];
  readonly duplicate: boolean;
}

const post = (topic: string, key: string, rows: readonly unknown[]): Promise<Response> =>
  call(`/topics/${topic}/records`, {
    method: "POST",
    headers: { "Idempotency-Key": key },
    body: JSON.stringify(rows),
  });

async function recordsIn(topic: string): Promise<number> {
  const { partitions } = await json<{ partitions: { first: number; next: number }[] }>(
    await call(`/topics/${topic}`),
  );
  return partitions.reduce((sum, { first, next }) => sum + next - first, 0);
}

describe("a partition that is lost", () => {
  test("still knows the keys of the requests it took", async () => {
    const topic = unusedCopy();
    const rows = [{ key: "a", n: 1 }];
    const first = await json<Appended>(await post(topic, "once", rows));
    for (const partition of [0, 1]) await killPartition(topic, partition);
    expect(await json<Appended>(await post(topic, "once", rows))).toEqual({
      ...first,
      duplicate: true,
    });
    expect((await post(topic, "once", [{ key: "a", n: 2 }])).status).toBe(422);
    expect(await recordsIn(topic)).toBe(1);
  });

  test.each([
    ["before it writes", "before"],
    ["after it writes and before it answers", "after"],
  ] as const)("%s takes the repeated request once", async (_, when) => {
    const topic = unusedCopy();
    const producer = new Producer(topic);
    let kills = 0;
    let appends = 0;
    faults.onAppend = async (append, abort) => {
      const dies = ++appends % 3 === 1;
      if (!dies) return append();
      kills++;
      if (when === "after") await append();
      abort();
      throw new Error("Not reached.");
    };
    for (let request = 0; request < 20; request++) await producer.send(5);
    expect(kills).toBeGreaterThan(5);
    expect(await recordsIn(topic)).toBe(producer.sent);
    heal();

    const job = await run(topic);
    onTestFinished(() => job.cancel());
    await job.settlesAt("tallies", producer.expected);
  });

  test("is made up for in a request that is spread over several", async () => {
    let appends = 0;
    const answers: number[] = [];
    faults.onAppend = async (append, abort) => {
      const turn = ++appends % 7;
      if (turn === 4) await append();
      if (turn === 1 || turn === 4) abort();
      return append();
    };
    for (let request = 0; request < 15; request++) {
      const rows = Array.from({ length: 12 }, (_, at) => ({ key: `key-${at}`, n: request }));
      await until("the request is accepted", async () => {
        const { status } = await post("keyed", `request-${request}`, rows);
        answers.push(status);
        return status === 200;
      });
    }
    expect(new Set(answers)).toEqual(new Set([503, 200]));
    expect(await recordsIn("keyed")).toBe(15 * 12);
  });
});
