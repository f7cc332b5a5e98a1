// The Durable Object that lists a deployment's jobs; there is one. It starts and stops nothing: a
// job's coordinator does, and tells this list what became of it.

import { DurableObject } from "cloudflare:workers";

import type { JobId } from "../format/ids.ts";
import type { DispatcherApi, RegisterOutcome } from "../format/job-status.ts";
import type { JobSummary } from "../format/messages.ts";
import { JobList } from "./job-list.ts";

export class Dispatcher extends DurableObject implements DispatcherApi {
  readonly #jobs: JobList;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env as Cloudflare.Env);
    const { sql } = ctx.storage;
    this.#jobs = new JobList({
      exec: (query, ...bindings) => sql.exec(query, ...bindings).toArray(),
    });
  }

  async register(summary: JobSummary, claims?: string): Promise<RegisterOutcome> {
    return this.#jobs.register(summary, claims);
  }

  async update(summary: JobSummary): Promise<void> {
    this.#jobs.update(summary);
  }

  async list(): Promise<JobSummary[]> {
    return this.#jobs.list();
  }

  async get(job: JobId): Promise<JobSummary | undefined> {
    return this.#jobs.get(job);
  }

  async claimantOf(savepoint: string): Promise<JobId | undefined> {
    return this.#jobs.claimantOf(savepoint);
  }
}
