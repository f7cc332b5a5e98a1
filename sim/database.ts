// The SQLite of one simulated object. What was written and is not durable when the object dies is gone.
//   Q1. Rows written in one event are durable together with whatever else it wrote, or not at all.
//   Q2. After a crash the database is what its durable statements make of an empty one.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlDatabase, SqlRow, SqlValue } from "../format/sql.ts";

interface Written {
  readonly order: number;
  readonly query: string;
  readonly bindings: readonly SqlValue[];
}

type Binding = string | number | null | Uint8Array;

export class Database implements SqlDatabase {
  /** Counts as a write of the event that is running; the result says which. */
  readonly #write: () => number;
  #db = new DatabaseSync(":memory:");
  #prepared = new Map<string, StatementSync>();
  #log: Written[] = [];

  constructor(write: () => number) {
    this.#write = write;
  }

  exec(query: string, ...bindings: SqlValue[]): SqlRow[] {
    if (!query.startsWith("SELECT")) this.#log.push({ order: this.#write(), query, bindings });
    return this.#run(query, bindings);
  }

  transaction<T>(work: () => T): T {
    const before = this.#log.length;
    this.#db.exec("BEGIN");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      this.#db.exec("ROLLBACK");
      this.#log.length = before;
      throw error;
    }
  }

  /** Writes after that one are lost. */
  crash(landed: number): void {
    const kept = this.#log.findIndex(({ order }) => order > landed);
    if (kept === -1) return;
    this.#log.length = kept;
    this.#db.close();
    this.#db = new DatabaseSync(":memory:");
    this.#prepared = new Map();
    for (const { query, bindings } of this.#log) this.#run(query, bindings);
  }

  #run(query: string, bindings: readonly SqlValue[]): SqlRow[] {
    let statement = this.#prepared.get(query);
    if (statement === undefined) this.#prepared.set(query, (statement = this.#db.prepare(query)));
    return statement.all(...(bindings as Binding[])) as SqlRow[];
  }
}
