// One world from beginning to end.
//   P1. Safety: while faults happen, input arrives and tables are read, and no check may fail.
//   P2. Liveness: without faults, within bounded virtual time, every move of the world is made, the jobs
//       run, checkpoints complete, the tables are what the reference says, and no orphan is in the bucket.
//   P3. The end: a job that is cancelled or stopped ends, its subtasks stop, and it leaves nothing behind
//       but what is kept. So does one whose restart strategy is spent, and no other fails.
//   P4. No job starts again more often than its strategy allows.
//   P5. A job that rests does nothing at all for as long as nobody calls. It goes on when rows come,
//       in the same attempt and without a look into the bucket.

import type { JobPhase } from "../format/messages.ts";
import { isBounded, type TimedItem, type TimedShape } from "./event-time.ts";
import { timeAfter, timedItemOf } from "./event-time-draw.ts";
import { JobRun, type Others, repeatsLetters } from "./job-run.ts";
import { Mover } from "./mover.ts";
import { Platform } from "./platform.ts";
import { itemOf } from "./topology.ts";
import { Violation } from "./violation.ts";
import { drawWorld, type Size, type World } from "./world.ts";

/** Milliseconds of virtual time in which a healed job must be well, and a cancelled one gone. */
const recoveryMax = 180_000;
const endMax = 240_000;

/** Milliseconds in which calls that were given up, and alarms that were set, have come to nothing. */
const stragglersMax = 150_000;

/** Milliseconds for which a job that rests is watched. */
const restWatched = 600_000;

export interface WorldResult {
  readonly seed: number;
  /** What went wrong; undefined where nothing did. */
  readonly failure?: string;
  /** How the last job ended; undefined where it was not even submitted. */
  readonly phase: JobPhase | undefined;
  readonly jobs: number;
  readonly checkpoints: number;
  /** Those that completed, and those that failed. */
  readonly savepoints: { readonly completed: number; readonly failed: number };
  /** Those that completed. */
  readonly rescales: number;
  readonly attempts: number;
  /** How often a job came to rest. */
  readonly rests: number;
  /** How often one went back behind its latest checkpoint. */
  readonly fallbacks: number;
  readonly events: number;
  readonly faults: ReadonlyMap<string, number>;
}

export interface SimulationOptions {
  /** Draws worlds of that size only. */
  readonly size?: Size;
  readonly log?: (line: string) => void;
}

export function simulate(seed: number, options: SimulationOptions = {}): WorldResult {
  const world = drawWorld(seed, options.size);
  const simulation = new Simulation(world, options);
  let failure: string | undefined;
  try {
    simulation.run();
  } catch (error) {
    failure =
      error instanceof Violation
        ? error.message
        : error instanceof Error
          ? `thrown: ${error.stack ?? error.message}`
          : String(error);
    options.log?.(`FAILED: ${failure}`);
  }
  return { seed, ...(failure !== undefined && { failure }), ...simulation.figures };
}

const shapeText = (shape: TimedShape): string =>
  JSON.stringify(shape, (name, value: unknown) =>
    name === "items" ? `${(value as readonly unknown[]).length} rows` : value,
  );

class Simulation {
  readonly #world: World;
  readonly #platform: Platform;
  readonly #jobs: JobRun[];
  readonly #mover: Mover;
  /** Checkpoints that each job must have completed. */
  readonly #wanted = new Map<JobRun, number>();
  /** Items so far, each of which has a number. */
  #items = 0;

  constructor(world: World, { log }: SimulationOptions) {
    this.#world = world;
    const { topology, options, seed, faults, memoryBudget } = world;
    this.#platform = new Platform({ seed, faults, log });
    if (topology.timed !== undefined) log?.(`by event time: ${shapeText(topology.timed)}`);
    const lineage = [{ topology, from: [] }] as const;
    const letters = { topic: "dead-letters", lineage, atLeast: repeatsLetters(options) };
    const first = new JobRun(this.#platform, world, { lineage, options, memoryBudget, letters });
    this.#jobs = [first];
    this.#mover = new Mover(this.#platform, world, first, (job) => this.#jobs.push(job));
  }

  get figures(): Omit<WorldResult, "seed" | "failure"> {
    const sum = (of: (job: JobRun) => number): number =>
      this.#jobs.reduce((total, job) => total + of(job), 0);
    return {
      phase: this.#jobs.at(-1)?.phase,
      jobs: this.#jobs.length,
      checkpoints: sum(({ checks }) => checks.completed),
      savepoints: {
        completed: sum(({ checks }) => checks.savepoints.completed),
        failed: sum(({ checks }) => checks.savepoints.failed),
      },
      rescales: sum(
        ({ checks: { record } }) =>
          (record?.rescales ?? []).filter(({ progress }) => progress.kind === "completed").length,
      ),
      attempts: sum(({ checks }) => checks.record?.attempt ?? 0),
      rests: sum(({ checks }) => checks.rests),
      fallbacks: sum(({ checks }) => checks.fallbacks),
      events: this.#platform.clock.events,
      faults: this.#platform.faults.counts,
    };
  }

  run(): void {
    const { duration, ending, rests } = this.#world;
    const { clock, topics } = this.#platform;
    this.#feed();
    topics.whenSubscribed = () => this.#interrupt();
    for (const at of this.#world.damages) clock.later(at, () => this.#damage());
    this.#readNow();
    if (ending === "cancelled under faults") {
      clock.run(Math.floor(duration / 2));
      this.#cancelAll();
      clock.run(Math.ceil(duration / 2));
      this.#platform.heal();
      return this.#ends();
    }
    clock.run(duration);
    this.#platform.heal();
    const end = this.#recovers();
    for (const job of this.#jobs) job.checkRestarts();
    if (end === "finished") return this.#ends();
    if (end === "running" && rests) this.#restsAndWakes();
    if (end === "running" && ending === "running") return;
    const mayStop = end === "running" && !this.#mover.head.isOver;
    if (mayStop && ending === "stopped") this.#stops();
    if (end === "running") this.#cancelAll();
    this.#ends();
  }

  // What the world does.

  #feed(): void {
    const { clock, topics } = this.#platform;
    for (const { at, source, partition, items } of this.#world.arrivals) {
      const rows = items.map(({ k, v, t }) =>
        t === undefined ? itemOf(this.#items++, k, v) : timedItemOf(this.#items++, k, t),
      );
      clock.later(at, () => topics.append(`topic-${source}`, partition, rows));
    }
  }

  /** Rows that come just when the job comes to rest. */
  #interrupt(): void {
    const { clock, faults } = this.#platform;
    const { prng } = faults;
    if (!faults.areOn || !prng.chance(0.3)) return;
    clock.later(prng.below(15), () => this.#feedOne(prng.pick(this.#fed)));
  }

  /** Topics that are fed, each with how many of its partitions are. */
  get #fed(): readonly (readonly [source: number, partitions: number])[] {
    const { timed, sources } = this.#world.topology;
    if (timed === undefined) return sources.map(({ partitions }, at) => [at, partitions]);
    const { idleness } = timed;
    return timed.sources.flatMap((source, at) =>
      source.kind === "topic"
        ? [[at, idleness === undefined ? source.partitions : 1] as const]
        : [],
    );
  }

  #feedOne([source, partitions]: readonly [number, number]): void {
    const { topics, faults } = this.#platform;
    const topic = `topic-${source}`;
    const partition = faults.prng.below(partitions);
    if (this.#world.topology.timed === undefined) {
      return topics.append(topic, partition, [itemOf(this.#items++, 0, 1)]);
    }
    const before = topics.rows(topic, partition) as readonly TimedItem[];
    topics.append(topic, partition, [timedItemOf(this.#items++, 0, timeAfter(before))]);
  }

  /** A file of a retained checkpoint is not what it was; mostly somebody needs it soon. */
  #damage(): void {
    const { faults, bucket } = this.#platform;
    const { prng } = faults;
    const { head } = this.#mover;
    const [latest, ...earlier] = head.checks.record?.checkpoints.retained ?? [];
    if (latest === undefined) return;
    const { files } = prng.chance(0.7) ? latest : prng.pick([latest, ...earlier]);
    head.isDamaged = true;
    bucket.damage(prng.pick(files));
    const { subtasks } = head.deployed;
    for (const host of subtasks) if (prng.chance(0.5)) host.damageCopies();
    if (prng.chance(0.8)) prng.pick(subtasks).crash({ mayHaunt: false });
  }

  #readNow(): void {
    for (const job of this.#jobs) job.readAll();
    const { clock, faults } = this.#platform;
    clock.later(this.#world.readEvery, () => {
      if (faults.areOn) this.#readNow();
    });
  }

  #cancelAll(): void {
    for (const job of this.#jobs) if (!job.isOver) job.deployed.cancel();
  }

  // What must come true.

  /** Or has failed for good, where its restart strategy says so, or come to the end of its input. */
  #recovers(): "running" | "failed" | "finished" {
    const { moves, checkpointsAfter, rests } = this.#world;
    for (const job of this.#jobs) {
      this.#wanted.set(job, job.checks.completed + checkpointsAfter);
    }
    const within = recoveryMax * (1 + moves.length);
    const reason = this.#waitFor(within, rests ? 1_000 : 50, () => this.#missing());
    for (const job of this.#jobs) job.readAll();
    if (reason !== undefined) throw new Violation(`P2: after ${within} ms, ${reason}`);
    const { head } = this.#mover;
    if (head.isSpent()) return "failed";
    const { timed } = head.topology;
    if (timed === undefined || !isBounded(timed)) return "running";
    const wrong = head.endProblem();
    if (wrong !== undefined) throw new Violation(`X15: it has finished, and ${wrong}`);
    return "finished";
  }

  #missing(): string | undefined {
    if (this.#mover.head.isSpent()) return undefined;
    const { missing } = this.#mover;
    if (missing !== undefined) return missing;
    for (const job of this.#jobs) {
      const wanted = this.#wanted.get(job) ?? this.#world.checkpointsAfter;
      const { timed } = job.topology;
      const mayGoOn = timed === undefined || !isBounded(timed);
      const reason = job.isOver
        ? undefined
        : mayGoOn
          ? job.missing(wanted, this.#others)
          : `it is ${job.phase}`;
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  #restsAndWakes(): void {
    const { clock, bucket } = this.#platform;
    const { checks } = this.#mover.head;
    clock.run(stragglersMax);
    const since = clock.now;
    clock.run(restWatched);
    const stirred = this.#platform.stirredAfter(since);
    if (stirred !== undefined) throw new Violation(`P5: it rests, and there is ${stirred}`);
    const { reads } = bucket;
    const before = checks.record;
    for (const source of this.#fed) this.#feedOne(source);
    // It rests still when the first call is on its way.
    clock.run(1_000);
    this.#wanted.clear();
    const reason = this.#waitFor(recoveryMax, 1_000, () => this.#missing());
    if (reason !== undefined)
      throw new Violation(`P5: ${recoveryMax} ms after rows came, ${reason}`);
    const { attempt } = checks.record!;
    if (attempt !== before?.attempt) throw new Violation("P5: it wakes up in another attempt");
    const looked = bucket.reads - reads;
    if (looked > 0) throw new Violation(`P5: it wakes up and reads ${looked} files`);
  }

  /** The last job ends with a savepoint. */
  #stops(): void {
    const isTimed = this.#world.topology.timed !== undefined;
    this.#mover.stop(isTimed ? { drains: true } : {});
    const reason = this.#waitFor(endMax, 50, () => this.#mover.missing);
    if (reason !== undefined)
      throw new Violation(`P3: ${endMax} ms after it was to stop, ${reason}`);
  }

  #ends(): void {
    const reason = this.#waitFor(endMax, 1_000, () => {
      for (const job of this.#jobs) {
        const remaining = job.remaining(this.#others);
        if (remaining !== undefined) return remaining;
      }
      return undefined;
    });
    if (reason !== undefined)
      throw new Violation(`P3: ${endMax} ms after it was to end, ${reason}`);
    const lastOf = new Map(this.#jobs.map((job) => [job.letters.topic, job]));
    for (const job of lastOf.values()) {
      // It has committed what it has, and nothing twice.
      const letter = job.letterProblem();
      if (letter !== undefined) throw new Violation(`P3: dead letters: ${letter}`);
    }
  }

  readonly #others: Others = {
    need: (path) => this.#jobs.some(({ checks }) => checks.needs(path)),
    needHold: (by, hold) =>
      this.#jobs.some(({ deployed, checks }) => deployed.id === by && checks.needsHold(hold)),
  };

  /** Why it has not come true within that time; undefined where it has. */
  #waitFor(most: number, step: number, missing: () => string | undefined): string | undefined {
    let reason = missing();
    for (let waited = 0; reason !== undefined && waited < most; waited += step) {
      this.#platform.clock.run(step);
      reason = missing();
    }
    return reason;
  }
}
