// The savepoints that people asked to delete, in SQLite: what is still to be done, and what became of
// it. Synchronous; the Durable Object around it is `dispatcher.ts`, which asks and deletes.
//   D1. A request is known by its trigger id and is durable before it is answered; repeated, it is the
//       same request. The last outcomes stay readable.
//   D2. The manifest goes first, so that what is half deleted can be restored from by nobody. Every
//       step may be repeated: what is gone is gone.
//   D3. No job may begin with what is being deleted: who is registered first wins.

import type { DisposalRequest, DisposalStatus } from "../format/job-status.ts";
import type { Millis } from "../format/ids.ts";
import type { JobListStorage } from "./job-list.ts";

/** Disposals that ended and are still answered for. */
const endedMax = 64;

/** Disposals that may be open, so that a client that asks without end does not fill the table. */
export const openMax = 32;

/** Tries before a store that takes no deletion is given up, and the pause before the first of them. */
const triesMax = 10;
const retryFirst = 1_000;
const retryLast = 60_000;

/** Milliseconds from reading a manifest to registering a job that begins with it, at most. */
const startMax = 60_000;

export interface OpenDisposal {
  readonly trigger: string;
  readonly folder: string;
  /** When it is tried next. */
  readonly due: number;
}

export class Disposals {
  readonly #storage: JobListStorage;

  constructor(storage: JobListStorage) {
    this.#storage = storage;
    // `failure` is null while it is open, "" once all is gone; `due` is then when that was.
    storage.exec(
      `CREATE TABLE IF NOT EXISTS disposal (
        id INTEGER PRIMARY KEY, trigger TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
        tries INTEGER NOT NULL, due INTEGER NOT NULL, failure TEXT
      )`,
    );
  }

  /** The request of that trigger id; undefined where there was none. */
  known(trigger: string): { readonly folder: string } | undefined {
    const row = this.#storage.exec("SELECT folder FROM disposal WHERE trigger = ?", trigger)[0];
    return row && { folder: String(row["folder"]) };
  }

  /** Whether it was begun: without its manifest, what is left is still to be deleted. */
  wasBegun(folder: string): boolean {
    return this.#storage.exec("SELECT 1 FROM disposal WHERE folder = ?", folder).length > 0;
  }

  /** Whether it is being deleted. */
  isOpen(folder: string): boolean {
    return this.open.some((one) => one.folder === folder);
  }

  /** The same, or it was while somebody who registers now may have read its manifest (D3). */
  isGoing(folder: string, now: Millis): boolean {
    const query =
      "SELECT 1 FROM disposal WHERE folder = ? AND (failure IS NULL OR (failure = '' AND due > ?))";
    return this.#storage.exec(query, folder, now - startMax).length > 0;
  }

  accept({ trigger, folder }: DisposalRequest, now: Millis): void {
    this.#storage.exec(
      "INSERT INTO disposal (trigger, folder, tries, due, failure) VALUES (?, ?, 0, ?, NULL)",
      trigger,
      folder,
      now,
    );
    this.#storage.exec(
      `DELETE FROM disposal WHERE failure IS NOT NULL AND id NOT IN
       (SELECT id FROM disposal WHERE failure IS NOT NULL ORDER BY id DESC LIMIT ?)`,
      endedMax,
    );
  }

  status(trigger: string): DisposalStatus | undefined {
    const row = this.#storage.exec("SELECT failure FROM disposal WHERE trigger = ?", trigger)[0];
    if (row === undefined) return undefined;
    const message = row["failure"] as string | null;
    if (message === null) return { kind: "inProgress" };
    return message === "" ? { kind: "completed" } : { kind: "failed", message };
  }

  /** Oldest first. */
  get open(): OpenDisposal[] {
    return this.#storage
      .exec("SELECT trigger, folder, due FROM disposal WHERE failure IS NULL ORDER BY id")
      .map((row) => ({
        trigger: String(row["trigger"]),
        folder: String(row["folder"]),
        due: Number(row["due"]),
      }));
  }

  deleted(trigger: string, now: Millis): void {
    const query = "UPDATE disposal SET failure = '', due = ? WHERE trigger = ?";
    this.#storage.exec(query, now, trigger);
  }

  /** A try that came to nothing; the last one ends it. */
  notDeleted(trigger: string, reason: string, now: Millis): void {
    const row = this.#storage.exec("SELECT tries FROM disposal WHERE trigger = ?", trigger)[0];
    const tries = Number(row?.["tries"] ?? 0) + 1;
    const wait = Math.min(retryFirst * 2 ** (tries - 1), retryLast);
    this.#storage.exec(
      "UPDATE disposal SET tries = ?, due = ? WHERE trigger = ?",
      tries,
      now + wait,
      trigger,
    );
    if (tries < triesMax) return;
    const message = `It is not deleted whole after ${tries} tries. The last failed: ${reason}`;
    this.#storage.exec("UPDATE disposal SET failure = ? WHERE trigger = ?", message, trigger);
  }
}
