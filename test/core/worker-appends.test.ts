// Ingestion through the routes, over partitions that fail before or after they have taken a request.

import { DatabaseSync } from "node:sqlite";

import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { offset, millis } from "../../format/ids.ts";
import type { TopicPartitionApi } from "../../format/messages.ts";
import { topic } from "../../stream/topic.ts";
import { TopicLog } from "../../topic/log.ts";
import { catalogOf } from "../../worker/catalog.ts";
import type { Env } from "../../worker/env.ts";
import { httpApp } from "../../worker/http.ts";

// The routes log what failed, which here is what was asked for.
beforeEach(() => {
  vi.spyOn(console, "error").mockReturnValue();
});

interface Row {
  readonly id: number;
}

type Fault = "before" | "after" | undefined;

const app = httpApp(
  catalogOf([], [topic<Row>("keyed", { partitions: 4, key: (row) => row.id }), topic("plain")]),
);

/** A deployment whose appends fail as `faults` says, one entry each; none is left: they succeed. */
class World {
  readonly #logs = new Map<string, TopicLog>();
  faults: Fault[] = [];
  appends = 0;

  post(name: string, rows: readonly unknown[], key?: string) {
    const body = rows.map((row) => JSON.stringify(row)).join("\n");
    const headers = key === undefined ? {} : { "Idempotency-Key": key };
    return app.request(`/topics/${name}/records`, { method: "POST", body, headers }, this.#env());
  }

  rows(): unknown[] {
    return [...this.#logs.values()].flatMap((log) =>
      log.read(offset(0), Infinity).flatMap(({ bytes }) => decodeRows(bytes)),
    );
  }

  #env(): Env {
    const TOPIC_PARTITION = { getByName: (name: string) => this.#partition(name) };
    return { TIDEMARK_LOCAL: "open", TOPIC_PARTITION } as unknown as Env;
  }

  #partition(name: string): TopicPartitionApi {
    const log = this.#logs.get(name) ?? newLog();
    this.#logs.set(name, log);
    return {
      append: async (request) => {
        this.appends++;
        const fault = this.faults.shift();
        if (fault === "before") throw new Error("lost");
        const outcome = log.append(request, millis(Date.now()));
        if (fault === "after") throw new Error("lost");
        return outcome;
      },
      info: async () => log.info(0),
      openReader: () => Promise.reject(new Error("unused")),
      subscribe: () => Promise.reject(new Error("unused")),
    };
  }
}

function newLog(): TopicLog {
  const db = new DatabaseSync(":memory:");
  return new TopicLog({
    exec: (query, ...bindings) =>
      db.prepare(query).all(...(bindings as (string | number | Uint8Array)[])) as never[],
    transaction: (work) => work(),
  });
}

const row = fc.record({ id: fc.integer({ min: 0, max: 20 }) });
const requests = fc.array(fc.array(row, { minLength: 1, maxLength: 6 }), { maxLength: 5 });
const faults = fc.array(fc.constantFrom<Fault[]>("before", "after", undefined), { maxLength: 20 });
const byId = (rows: unknown[]) => (rows as Row[]).map(({ id }) => id).sort((a, b) => a - b);

describe("a request under an Idempotency-Key", () => {
  test("counts once, repeated until it is answered (P1, P3)", async () => {
    await fc.assert(
      fc.asyncProperty(requests, faults, async (bodies, failing) => {
        const world = new World();
        world.faults = [...failing];
        for (const [n, rows] of bodies.entries()) {
          let response = await world.post("keyed", rows, `request-${n}`);
          while (response.status === 503) {
            expect(response.headers.get("Retry-After")).toBe("1");
            response = await world.post("keyed", rows, `request-${n}`);
          }
          expect(response.status).toBe(200);
          expect(await response.json()).toMatchObject({ records: rows.length });
        }
        expect(byId(world.rows())).toEqual(byId(bodies.flat()));
      }),
    );
  });

  test("leaves nothing when the key was used for another body, wherever its rows go (P2)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(row, row), async ([first, second]) => {
        fc.pre(first.id !== second.id);
        const world = new World();
        expect((await world.post("keyed", [first], "k")).status).toBe(200);
        expect((await world.post("keyed", [second], "k")).status).toBe(422);
        expect(world.rows()).toEqual([first]);
      }),
    );
  });

  test("repeated, is answered as at first", async () => {
    const world = new World();
    const rows = Array.from({ length: 20 }, (_, id) => ({ id }));
    const first = (await (await world.post("keyed", rows, "k")).json()) as object;
    expect(await (await world.post("keyed", rows, "k")).json()).toEqual({
      ...first,
      duplicate: true,
    });
  });

  test("takes one call where one partition has it all", async () => {
    const world = new World();
    await world.post("plain", [1, 2, 3], "k");
    expect(world.appends).toBe(1);
  });
});

test("without a key, a failure says that repeating may count twice", async () => {
  const world = new World();
  world.faults = ["after"];
  const response = await world.post("plain", [1]);
  expect(response.status).toBe(503);
  expect(await response.text()).toMatch(/may be kept; send an Idempotency-Key/);
});
