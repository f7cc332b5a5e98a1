// Keeps an eye on the job while it runs: its checkpoints, how far event time has come, whether it runs.

import type { LocalJob } from "../flights/local-job.ts";
import { pause } from "../flights/until.ts";

/** Milliseconds between two looks. */
const every = 500;

/** Of `GET /jobs/:jobid/vertices/:vertexid/watermarks`. */
type Watermarks = readonly { readonly value: string }[];

export class Watch {
  readonly #job: LocalJob;
  readonly #signal: AbortSignal;
  #source: string | undefined;
  #checkpoint: number | undefined;
  #eventTime: string | undefined;

  constructor(job: LocalJob, signal: AbortSignal) {
    this.#job = job;
    this.#signal = signal;
  }

  /** How far the job is, in words. */
  get text(): string {
    const checkpoint =
      this.#checkpoint === undefined ? "no checkpoint yet" : `checkpoint ${this.#checkpoint}`;
    return this.#eventTime === undefined
      ? checkpoint
      : `${checkpoint}; event time ${this.#eventTime}`;
  }

  /** Looks until the signal is aborted. */
  async follow(onLook: () => void): Promise<never> {
    for (;;) {
      await this.#look();
      onLook();
      await pause(every, this.#signal);
    }
  }

  async #look(): Promise<void> {
    const job = this.#job;
    const statistics = await job.checkpoints();
    const completed = statistics?.history.find(({ status }) => status === "COMPLETED");
    this.#checkpoint = completed?.id ?? this.#checkpoint;
    this.#source ??= await this.#findSource();
    if (this.#source === undefined) return;
    const path = `/jobs/${job.id}/vertices/${this.#source}/watermarks`;
    const [watermark] = (await job.get<Watermarks>(path)) ?? [];
    const at = new Date(Number(watermark?.value) + 1);
    // The end of time, with which a drain ends it, is no date.
    if (Number.isNaN(at.getTime())) return;
    this.#eventTime = at.toISOString().slice(0, 16).replace("T", " ");
  }

  async #findSource(): Promise<string | undefined> {
    type Details = { readonly vertices: readonly { readonly id: string; readonly name: string }[] };
    const details = await this.#job.get<Details>(`/jobs/${this.#job.id}`);
    return details?.vertices.find(({ name }) => name.startsWith("Source: "))?.id;
  }
}
