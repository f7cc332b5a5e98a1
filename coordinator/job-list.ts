// The list of a deployment's jobs, in SQLite. Synchronous; the Durable Object around it is
// `dispatcher.ts`.
//   J1. A job that is registered stays listed.
//   J2. What is told of a job never goes back in time: an update older than the last is ignored.
//   J3. A registration is older than every update, whatever the clocks of two machines say.
//   J4. A savepoint is claimed by one job at a time: from its registration, in the same step, until it
//       has ended, or turns out never to have been submitted.

import type { RegisterOutcome } from "../format/job-status.ts";
import type { JobId } from "../format/ids.ts";
import type { JobSummary } from "../format/messages.ts";

export interface JobListStorage {
  exec(query: string, ...bindings: (string | number)[]): Readonly<Record<string, unknown>>[];
}

const registeredAt = 0;

export class JobList {
  readonly #storage: JobListStorage;

  constructor(storage: JobListStorage) {
    this.#storage = storage;
    storage.exec(
      `CREATE TABLE IF NOT EXISTS jobs (
        job TEXT PRIMARY KEY, started INTEGER NOT NULL, modified INTEGER NOT NULL, summary TEXT NOT NULL
      ) WITHOUT ROWID`,
    );
    storage.exec(
      "CREATE TABLE IF NOT EXISTS claims (path TEXT PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID",
    );
  }

  /** `claims`: the savepoint that is to be the job's own. */
  register(summary: JobSummary, claims?: string): RegisterOutcome {
    const { job, program } = summary;
    const known = this.get(job);
    if (known !== undefined && known.program !== program) {
      return { kind: "taken", program: known.program };
    }
    if (claims !== undefined && (known === undefined || known.endTime < 0)) {
      const by = this.claimantOf(claims);
      if (by !== undefined && by !== job) return { kind: "claimed", by };
      this.#storage.exec("INSERT OR IGNORE INTO claims VALUES (?, ?)", claims, job);
    }
    if (known !== undefined) return { kind: "known" };
    this.#put(summary, registeredAt);
    return { kind: "registered" };
  }

  update(summary: JobSummary): void {
    this.#put(summary, summary.lastModification);
    if (summary.endTime >= 0) this.unclaim(summary.job);
  }

  /** What it has claimed is its own no longer. */
  unclaim(job: JobId): void {
    this.#storage.exec("DELETE FROM claims WHERE job = ?", job);
  }

  /** The job that has claimed that savepoint and has not ended. */
  claimantOf(path: string): JobId | undefined {
    const [found] = this.#storage.exec("SELECT job FROM claims WHERE path = ?", path);
    return found?.["job"] as JobId | undefined;
  }

  /** Newest first. */
  list(): JobSummary[] {
    return this.#storage.exec("SELECT summary FROM jobs ORDER BY started DESC, job").map(summaryOf);
  }

  get(job: JobId): JobSummary | undefined {
    return this.#storage.exec("SELECT summary FROM jobs WHERE job = ?", job).map(summaryOf)[0];
  }

  #put(summary: JobSummary, modified: number): void {
    this.#storage.exec(
      `INSERT INTO jobs VALUES (?, ?, ?, ?) ON CONFLICT (job) DO UPDATE
       SET started = excluded.started, modified = excluded.modified, summary = excluded.summary
       WHERE excluded.modified >= jobs.modified`,
      summary.job,
      summary.startTime,
      modified,
      JSON.stringify(summary),
    );
  }
}

// Only `put` writes the column.
const summaryOf = (row: Readonly<Record<string, unknown>>): JobSummary =>
  JSON.parse(String(row["summary"])) as JobSummary;
