// The same job as somebody would write it on Durable Objects without an engine. Rows come to an object
// (as from a queue or a request), which splits them by a hash of the user; each shard gets arrays of
// rows by RPC and answers when they are durable, as the output gate holds answers back.
//   ShardedSqlite  one upsert per row, in one transaction per batch
//   ShardedLog     one row of SQLite with the whole batch, and a map in memory
//   PerUser        one object per user, one write per row

import { DurableObject } from "cloudflare:workers";

import { batches, batchRows, tally, type Purchase, type Tally } from "../data.ts";
import { Window } from "./window.ts";

export const shards = 4;

/** Calls to objects of users under way at a time. */
const callsToUsers = 64;

interface Shard {
  reset(): Promise<void>;
  add(rows: Purchase[]): Promise<void>;
  answer(): Promise<[string, Tally][]>;
}

interface Objects<T> {
  getByName(name: string): T;
}

export interface ByHandEnv {
  readonly SHARDED_SQLITE: Objects<ShardedSqlite>;
  readonly SHARDED_LOG: Objects<ShardedLog>;
  readonly PER_USER: Objects<PerUser>;
}

/** What the rows come to. */
export class Splitter extends DurableObject<ByHandEnv> {
  async sqlite(rows: number): Promise<void> {
    await split(rows, shardsOf(this.env.SHARDED_SQLITE));
  }

  async log(rows: number): Promise<void> {
    await split(rows, shardsOf(this.env.SHARDED_LOG));
  }

  async perUser(rows: number): Promise<void> {
    const window = new Window(callsToUsers);
    for (const batch of batches(rows)) {
      for (const row of batch) {
        await window.add(this.env.PER_USER.getByName(row.user).add(row.amount));
      }
    }
    await window.empty();
  }
}

export const shardsOf = <T extends Shard>(objects: Objects<T>): T[] =>
  Array.from({ length: shards }, (_, shard) => objects.getByName(`shard-${shard}`));

async function split(rows: number, to: readonly Shard[]): Promise<void> {
  const buffers = to.map((): Purchase[] => []);
  const windows = to.map(() => new Window());
  for (const batch of batches(rows)) {
    for (const row of batch) buffers[shardOf(row.user)]!.push(row);
    for (const [at, buffer] of buffers.entries()) {
      if (buffer.length < batchRows) continue;
      buffers[at] = [];
      await windows[at]!.add(to[at]!.add(buffer));
    }
  }
  await Promise.all(
    to.map(async (shard, at) => {
      if (buffers[at]!.length > 0) await shard.add(buffers[at]!);
      await windows[at]!.empty();
    }),
  );
}

const remembered = new Map<string, number>();

function shardOf(user: string): number {
  let shard = remembered.get(user);
  if (shard === undefined) {
    let hash = 5381;
    for (let i = 0; i < user.length; i++) hash = (Math.imul(hash, 33) ^ user.charCodeAt(i)) >>> 0;
    shard = hash % shards;
    remembered.set(user, shard);
  }
  return shard;
}

export class ShardedSqlite extends DurableObject implements Shard {
  readonly #sql = this.ctx.storage.sql;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env as never);
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS tallies (user TEXT PRIMARY KEY, n INTEGER, total INTEGER) WITHOUT ROWID",
    );
  }

  async reset(): Promise<void> {
    this.#sql.exec("DELETE FROM tallies");
  }

  async add(rows: Purchase[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const { user, amount } of rows) {
        this.#sql.exec(
          `INSERT INTO tallies VALUES (?, 1, ?)
           ON CONFLICT (user) DO UPDATE SET n = n + 1, total = total + excluded.total`,
          user,
          amount,
        );
      }
    });
  }

  async answer(): Promise<[string, Tally][]> {
    const rows = this.#sql.exec<{ user: string; n: number; total: number }>(
      "SELECT * FROM tallies",
    );
    return [...rows].map(({ user, n, total }) => [user, { n, total }]);
  }
}

/** After a crash the map is made again from the log. */
export class ShardedLog extends DurableObject implements Shard {
  readonly #sql = this.ctx.storage.sql;
  readonly #tallies = new Map<string, Tally>();

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env as never);
    this.#sql.exec("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, rows BLOB)");
    for (const { rows } of this.#sql.exec<{ rows: ArrayBuffer }>(
      "SELECT rows FROM log ORDER BY id",
    )) {
      this.#fold(JSON.parse(new TextDecoder().decode(rows)) as Purchase[]);
    }
  }

  async reset(): Promise<void> {
    this.#sql.exec("DELETE FROM log");
    this.#tallies.clear();
  }

  async add(rows: Purchase[]): Promise<void> {
    this.#sql.exec(
      "INSERT INTO log (rows) VALUES (?)",
      new TextEncoder().encode(JSON.stringify(rows)),
    );
    this.#fold(rows);
  }

  async answer(): Promise<[string, Tally][]> {
    return [...this.#tallies];
  }

  #fold(rows: readonly Purchase[]): void {
    for (const row of rows) tally(this.#tallies, row);
  }
}

/** Remembers its tally between calls, so that a row is one write and no read. */
export class PerUser extends DurableObject {
  readonly #kv = this.ctx.storage.kv;
  #tally: Tally = this.#kv.get<Tally>("tally") ?? { n: 0, total: 0 };

  async reset(): Promise<void> {
    this.#tally = { n: 0, total: 0 };
    this.#kv.delete("tally");
  }

  async add(amount: number): Promise<void> {
    this.#tally.n++;
    this.#tally.total += amount;
    this.#kv.put("tally", this.#tally);
  }

  async answer(): Promise<Tally> {
    return this.#tally;
  }
}
