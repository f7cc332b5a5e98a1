// A job of the caller's own in virtual time, driven step by step: for tests that need one world and
// not any. The same seed is the same run.

import type { JobRecord } from "../coordinator/job-record.ts";
import type { Attempt } from "../format/ids.ts";
import type { CheckpointRecord, JobDetails } from "../format/job-status.ts";
import { decodeManifest } from "../format/manifest.ts";
import type { JobDefinition } from "../stream/job.ts";
import { Deployed } from "./deployed.ts";
import type { Observer } from "./deployment.ts";
import { Platform } from "./platform.ts";
import { type FaultRates, noFaults } from "./faults.ts";

export interface ScenarioOptions {
  readonly seed: number;
  readonly definition: JobDefinition;
  /** Milliseconds for which a subtask of that operator does nothing else, per row. */
  readonly rowCost?: Readonly<Record<string, number>>;
  /** None of those that are absent. */
  readonly faults?: Partial<FaultRates>;
}

export class Scenario {
  readonly #platform: Platform;
  readonly #deployed: Deployed<Watch>;

  constructor({ seed, definition, rowCost, faults }: ScenarioOptions) {
    const drawn = { ...noFaults, ...faults };
    this.#platform = new Platform({ seed, faults: drawn, log: undefined });
    this.#deployed = new Deployed(this.#platform, {
      definition,
      ...(rowCost !== undefined && { rowCost }),
      observe: ({ files }) => new Watch(files),
    });
  }

  get now(): number {
    return this.#platform.clock.now;
  }

  /** As of the last durable write; undefined before the first. */
  get record(): JobRecord | undefined {
    return this.#deployed.checks.record;
  }

  /** What the coordinator believes; undefined while it sleeps. */
  get details(): JobDetails | undefined {
    return this.#deployed.coordinator.awake?.details;
  }

  /** Checkpoints that have ended, oldest first. */
  get history(): readonly CheckpointRecord[] {
    return this.#deployed.coordinator.durable?.history ?? [];
  }

  get files(): ReadonlyMap<string, Uint8Array> {
    return this.#deployed.bucket.files;
  }

  /** Checkpoints with rows in channels: those that subtasks took, and those that were gone back to. */
  get withChannels(): { readonly taken: number; readonly restored: number } {
    return this.#deployed.checks.withChannels;
  }

  append(topic: string, partition: number, rows: readonly unknown[]): void {
    this.#deployed.topics.append(topic, partition, rows);
  }

  /** Lets time pass, up to `forMs` or until something holds, which is looked at every so often. */
  run(forMs: number, until?: () => boolean, every = 50): void {
    if (until === undefined) return this.#platform.clock.run(forMs);
    for (let passed = 0; passed < forMs && !until(); passed += every) {
      this.#platform.clock.run(every);
    }
  }

  heal(): void {
    this.#platform.heal();
  }

  /** The rows of a table over all subtasks that are awake. */
  table(name: string, uid: string, read: "committed" | "latest" = "committed"): unknown[] {
    return this.#deployed.subtasksOf(uid).flatMap(({ awake }) => {
      const table = awake?.table(name);
      return table === undefined ? [] : Array.from(table.entries(read), ([, row]) => row);
    });
  }
}

class Watch implements Observer {
  readonly withChannels = { taken: 0, restored: 0 };
  readonly #files: ReadonlyMap<string, Uint8Array>;
  #record: JobRecord | undefined;

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#files = files;
  }

  get record(): JobRecord | undefined {
    return this.#record;
  }

  recorded(record: JobRecord): void {
    const { lastRestored } = record;
    if (lastRestored !== undefined && lastRestored.at !== this.#record?.lastRestored?.at) {
      if (this.#hasChannels(lastRestored.path)) this.withChannels.restored++;
    }
    this.#record = record;
  }

  created(path: string): void {
    if (this.#hasChannels(path)) this.withChannels.taken++;
  }

  deleted(): void {}

  acknowledging(): void {}

  missing(path: string, attempt: Attempt): void {
    if (attempt !== this.#record?.attempt) return;
    throw new Error(`${path} is missing.`);
  }

  #hasChannels(path: string): boolean {
    const bytes = this.#files.get(path);
    if (bytes === undefined || !path.endsWith("_metadata")) return false;
    return decodeManifest(bytes).tasks.some(({ state }) => state.channels !== undefined);
  }
}
