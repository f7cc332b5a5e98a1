// Libraries that compute in memory, in a Node process of their own that stays for all rounds.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { differences, talliesOf, type Tally } from "../data.ts";
import type { Contestant } from "../harness.ts";

export type Library = "d2ts" | "rxjs";

/** To the child. */
export interface CountRequest {
  readonly library: Library;
  readonly rows: number;
}

/** From the child. */
export interface CountAnswer {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly tallies: readonly (readonly [string, Tally])[];
}

const child = fileURLToPath(new URL("child.ts", import.meta.url));

export class InMemory {
  readonly #child: ChildProcess = fork(child, { serialization: "advanced" });

  /** @throws Error where the child ends instead */
  async count(request: CountRequest): Promise<CountAnswer> {
    const over = new AbortController();
    const { signal } = over;
    const ended = once(this.#child, "exit", { signal }).then(([code]) => {
      throw new Error(`The process of ${request.library} ended with code ${code}.`);
    });
    ended.catch(() => {});
    try {
      const answered = once(this.#child, "message", { signal });
      this.#child.send(request);
      const [answer] = await Promise.race([answered, ended]);
      return answer as CountAnswer;
    } finally {
      over.abort();
    }
  }

  stop(): void {
    this.#child.kill();
  }
}

export function inMemory(memory: InMemory, library: Library, rows: number): Contestant {
  const expected = talliesOf(rows);
  let last: CountAnswer | undefined;
  return {
    name: library,
    rows,
    run: async () => {
      last = await memory.count({ library, rows });
      return last;
    },
    check: async () => differences(expected, new Map(last?.tallies)),
  };
}
