// A database in memory: what SQLite is to an object.

import { DatabaseSync, type StatementSync } from "node:sqlite";

import type { SqlDatabase, SqlRow } from "../format/sql.ts";

export function memoryDatabase(): SqlDatabase {
  const db = new DatabaseSync(":memory:");
  const prepared = new Map<string, StatementSync>();
  return {
    exec(query, ...bindings) {
      let statement = prepared.get(query);
      if (statement === undefined) prepared.set(query, (statement = db.prepare(query)));
      return statement.all(...(bindings as (string | number | null | Uint8Array)[])) as SqlRow[];
    },
    transaction(work) {
      db.exec("BEGIN");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
  };
}
