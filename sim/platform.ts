// What all jobs of a world share: time, luck, the topics and the bucket; and what befalls all of their
// objects together.

import type { HoldKey } from "../format/holds.ts";
import { jobIdFrom, type JobId, type TaskId } from "../format/ids.ts";
import { Bucket, type BucketWatch } from "./bucket.ts";
import { Clock } from "./clock.ts";
import type { CoordinatorHost } from "./coordinator.ts";
import { type FaultRates, Faults } from "./faults.ts";
import type { Host, Instance, Scene } from "./host.ts";
import { Prng } from "./prng.ts";
import type { SubtaskHost } from "./subtask.ts";
import { Topics } from "./topics.ts";

/** Milliseconds between two occasions for everything to be killed at once. */
const disasterEvery = 100;

/** Milliseconds between two occasions for memory that is not needed to be taken. */
const evictEvery = 4_000;

type AnyHost = Host<unknown, Instance<unknown>>;

/** A job as the others see it. */
export interface Neighbour {
  readonly id: JobId;
  readonly coordinator: CoordinatorHost;
  readonly subtasks: readonly AnyHost[];
  readonly watch: BucketWatch;
  subtask(task: TaskId): SubtaskHost;
}

export interface PlatformOptions {
  readonly seed: number;
  readonly faults: FaultRates;
  readonly log: ((line: string) => void) | undefined;
}

const renouncedKey = (job: JobId, { owner, nth }: HoldKey): string => `${job} ${owner} ${nth}`;

export class Platform {
  readonly clock = new Clock(1_700_000_000_000);
  readonly faults: Faults;
  readonly scene: Scene;
  readonly topics: Topics;
  readonly bucket: Bucket;
  readonly #jobs = new Map<JobId, Neighbour>();
  /** Holds for jobs that were not there when they were asked: they will never begin under these. */
  readonly #renounced = new Set<string>();
  /** What objects did last that costs something. */
  #stirred: { readonly at: number; readonly what: string } | undefined;

  constructor({ seed, faults, log }: PlatformOptions) {
    const { clock } = this;
    const start = clock.now;
    this.faults = new Faults(faults, new Prng(seed ^ 0x2545f491));
    this.scene = {
      clock,
      faults: this.faults,
      log: log && ((line) => log(`${String(clock.now - start).padStart(7)} ${line}`)),
      stirred: (what) => (this.#stirred = { at: clock.now, what }),
    };
    this.topics = new Topics(this.scene, ({ job, task }) => this.#jobs.get(job)!.subtask(task));
    this.bucket = new Bucket(this.scene, new Map(), {
      created: (path, bytes) => {
        for (const { watch } of this.#jobs.values()) watch.created(path, bytes);
      },
      deleted: (path) => {
        for (const { watch } of this.#jobs.values()) watch.deleted(path);
      },
    });
  }

  /** How many jobs there have been. */
  get jobs(): number {
    return this.#jobs.size;
  }

  /** That of the job which is the next one to be added. */
  get nextId(): JobId {
    return jobIdFrom(new Uint8Array(16).fill(7 + this.jobs));
  }

  /** Undefined where no such job was ever submitted. */
  coordinatorOf(job: JobId): CoordinatorHost | undefined {
    return this.#jobs.get(job)?.coordinator;
  }

  /** The answer of a job that is not there. */
  renounce(job: JobId, hold: HoldKey): void {
    this.#renounced.add(renouncedKey(job, hold));
  }

  hasRenounced(job: JobId, hold: HoldKey): boolean {
    return this.#renounced.has(renouncedKey(job, hold));
  }

  add(job: Neighbour): void {
    const isFirst = this.#jobs.size === 0;
    this.#jobs.set(job.id, job);
    if (!isFirst) return;
    this.#disasters();
    this.#evictions();
  }

  /** What any object did last that costs something, if that was after `since`. */
  stirredAfter(since: number): string | undefined {
    const { at = 0, what } = this.#stirred ?? {};
    return at > since ? what : undefined;
  }

  /** Nothing goes wrong any more, and nobody goes on who was replaced. */
  heal(): void {
    this.scene.log?.("no more faults");
    this.faults.heal();
    for (const host of this.#hosts()) host.buryZombies();
  }

  #hosts(): AnyHost[] {
    return [...this.#jobs.values()].flatMap(({ coordinator, subtasks }) => [
      coordinator,
      ...subtasks,
    ]);
  }

  /** Memory that nobody needs is taken at any time; that is no fault. */
  #evictions(): void {
    this.clock.later(evictEvery, () => {
      const asleep = this.#hosts().filter(({ awake }) => awake?.isAsleep === true);
      const takesAll = this.faults.prng.chance(0.3);
      for (const host of asleep) {
        if (takesAll || this.faults.prng.chance(0.3)) host.crash({ mayHaunt: false });
      }
      this.#evictions();
    });
  }

  #disasters(): void {
    this.clock.later(disasterEvery, () => {
      if (!this.faults.areOn) return;
      if (this.faults.strikes("crashAll", disasterEvery / 1_000)) {
        this.scene.log?.("everything is killed");
        for (const { coordinator, subtasks } of this.#jobs.values()) {
          for (const host of [...subtasks, coordinator]) host.crash({ mayHaunt: false });
        }
      }
      this.#disasters();
    });
  }
}
