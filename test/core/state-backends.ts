// The backends of keyed state, for the suites that all of them run.

import { allKeyGroups } from "../../format/key-groups.ts";
import type { SqlDatabase } from "../../format/sql.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import { MemoryStateBackend } from "../../operators/state/memory.ts";
import { SqliteStateBackend } from "../../operators/state/sqlite.ts";
import { StateRows } from "../../operators/state/sqlite-rows.ts";
import { memoryDatabase } from "../../testing/database.ts";

export interface OpenOptions {
  readonly maxParallelism: number;
  /** What an object that was here before has left behind, by `left`. */
  readonly over?: unknown;
  /** The checkpoint to begin at; 0 for none. */
  readonly checkpoint?: number;
}

export interface NamedBackend {
  readonly name: string;
  readonly open: (options: OpenOptions) => StateBackend;
  /** What stays of a backend in its object when the attempt is over. */
  readonly left?: (backend: StateBackend) => unknown;
}

/** A database in memory, with its statements counted. */
export function testDatabase(): SqlDatabase & { readonly statements: { count: number } } {
  const db = memoryDatabase();
  const statements = { count: 0 };
  return {
    statements,
    exec(query, ...bindings) {
      statements.count++;
      return db.exec(query, ...bindings);
    },
    transaction: (work) => db.transaction(work),
  };
}

const databases = new WeakMap<StateBackend, SqlDatabase>();

const sqlite = (name: string, budget: number): NamedBackend => ({
  name,
  open({ maxParallelism, over, checkpoint = 0 }) {
    const database = (over as SqlDatabase | undefined) ?? testDatabase();
    const owner = { range: allKeyGroups(maxParallelism), maxParallelism };
    const isHeld = checkpoint > 0 && StateRows.hold(database, owner, checkpoint);
    if (over !== undefined && !isHeld) throw new Error(`Checkpoint ${checkpoint} is not held.`);
    const backend = new SqliteStateBackend({ database, ...owner, budget, checkpoint, isHeld });
    databases.set(backend, database);
    return backend;
  },
  left: (backend) => databases.get(backend),
});

export const stateBackends: readonly NamedBackend[] = [
  {
    name: "memory",
    open: ({ maxParallelism }) => new MemoryStateBackend({ maxParallelism, budget: Infinity }),
  },
  sqlite("sqlite", 64 * 1024 * 1024),
  // Holds a handful of entries, so that all others come and go.
  sqlite("sqlite with a tiny cache", 1_500),
];
