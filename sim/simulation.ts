// One world from beginning to end.
//   P1. Safety: while faults happen, input arrives and tables are read, and no check may fail.
//   P2. Liveness: without faults, within bounded virtual time, the job runs, checkpoints complete,
//       the tables are what the reference says, and no orphan is in the bucket.
//   P3. The end: a job that is cancelled ends, its subtasks stop, and it leaves nothing behind. So
//       does one whose restart strategy is spent, and no other fails.
//   P4. No job starts again more often than its strategy allows.
//   P5. A job that rests does nothing at all for as long as nobody calls. It goes on when rows come,
//       in the same attempt and without a look into the bucket.

import { type TaskId, taskKey } from "../format/ids.ts";
import type { JobPhase } from "../format/messages.ts";
import type { RestartOptions } from "../stream/config.ts";
import { Checks, Violation } from "./checks.ts";
import { Deployed } from "./deployed.ts";
import { letterProblem } from "./letters.ts";
import { keyText, type StateView, type View } from "./reference.ts";
import type { SubtaskHost, SubtaskInstance } from "./subtask.ts";
import { definitionOf, tableName } from "./topology.ts";
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
  /** How the job ended; undefined where it was not even submitted. */
  readonly phase: JobPhase | undefined;
  readonly checkpoints: number;
  readonly attempts: number;
  /** How often the job came to rest. */
  readonly rests: number;
  /** How often it went back behind its latest checkpoint. */
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

interface Reader {
  readonly table: string;
  readonly host: SubtaskHost;
  readonly task: TaskId;
}

class Simulation {
  readonly #world: World;
  readonly #deployed: Deployed<Checks>;
  readonly #checks: Checks;
  /** The subtasks that hold a part of each table. */
  readonly #readers: readonly Reader[];
  /** Items so far, each of which has a number. */
  #items = 0;
  #isDamaged = false;

  constructor(world: World, { log }: SimulationOptions) {
    this.#world = world;
    const { topology, options, seed, faults, rowCost, memoryBudget } = world;
    const { checkpointing } = options;
    this.#deployed = new Deployed({
      seed,
      faults,
      rowCost,
      memoryBudget,
      definition: (drawn) =>
        definitionOf(topology, options, () => {
          if (drawn.strikes("userError")) throw new Error("This row is too much for me.");
        }),
      observe: (seen) => new Checks({ topology, seen, checkpointing }),
      log,
    });
    this.#checks = this.#deployed.checks;
    this.#readers = topology.tables.flatMap((_, at) =>
      this.#deployed
        .subtasksOf(`out-${at}`)
        .map((host) => ({ table: tableName(at), host, task: host.id })),
    );
  }

  get figures(): Omit<WorldResult, "seed" | "failure"> {
    return {
      phase: this.#checks.record?.phase,
      checkpoints: this.#checks.completed,
      attempts: this.#checks.record?.attempt ?? 0,
      rests: this.#checks.rests,
      fallbacks: this.#checks.fallbacks,
      events: this.#deployed.clock.events,
      faults: this.#deployed.faults.counts,
    };
  }

  run(): void {
    const { duration, ending } = this.#world;
    const deployed = this.#deployed;
    this.#feed();
    deployed.topics.whenSubscribed = () => this.#interrupt();
    for (const at of this.#world.damages) deployed.clock.later(at, () => this.#damage());
    this.#readNow();
    if (ending === "cancelled under faults") {
      deployed.clock.run(Math.floor(duration / 2));
      deployed.cancel();
      deployed.clock.run(Math.ceil(duration / 2));
      deployed.heal();
      return this.#ends();
    }
    deployed.clock.run(duration);
    deployed.heal();
    const end = this.#recovers();
    const { restarts } = this.#checks;
    const { most } = restartsOf(this.#world.options.restart);
    if (restarts > most) throw new Violation(`P4: ${restarts} restarts, and ${most} are allowed`);
    if (end === "running" && this.#world.rests) this.#restsAndWakes();
    if (end === "running" && ending === "running") return;
    if (end === "running") deployed.cancel();
    this.#ends();
  }

  // What the world does.

  #feed(): void {
    const { clock, topics } = this.#deployed;
    for (const { at, source, partition, items } of this.#world.arrivals) {
      const rows = items.map(({ k, v }) => ({ id: this.#items++, k, v }));
      clock.later(at, () => topics.append(`topic-${source}`, partition, rows));
    }
  }

  /** Rows that come just when the job comes to rest. */
  #interrupt(): void {
    const { clock, faults } = this.#deployed;
    const { prng } = faults;
    if (!faults.areOn || !prng.chance(0.3)) return;
    clock.later(prng.below(15), () =>
      this.#feedOne(prng.below(this.#world.topology.sources.length)),
    );
  }

  #feedOne(source: number): void {
    const { topics, faults } = this.#deployed;
    const { partitions } = this.#world.topology.sources[source]!;
    const item = { id: this.#items++, k: 0, v: 1 };
    topics.append(`topic-${source}`, faults.prng.below(partitions), [item]);
  }

  /** A file of a retained checkpoint is not what it was; mostly somebody needs it soon. */
  #damage(): void {
    const { faults, bucket, subtasks } = this.#deployed;
    const { prng } = faults;
    const [latest, ...earlier] = this.#checks.record?.checkpoints.retained ?? [];
    if (latest === undefined) return;
    const { files } = prng.chance(0.7) ? latest : prng.pick([latest, ...earlier]);
    this.#isDamaged = true;
    bucket.damage(prng.pick(files));
    for (const host of subtasks) if (prng.chance(0.5)) host.damageCopies();
    if (prng.chance(0.8)) prng.pick(subtasks).crash({ mayHaunt: false });
  }

  #readNow(): void {
    for (const reader of this.#readers) this.#read(reader);
    const { clock, faults } = this.#deployed;
    clock.later(this.#world.readEvery, () => {
      if (faults.areOn) this.#readNow();
    });
  }

  /** As the production subtask answers `readTable`; the answer waits at the gate. */
  #read({ table, host, task }: Reader): void {
    const reader = readerOf(host);
    const operator = reader?.table(table);
    if (operator === undefined) return;
    const checkpoint = operator.committedCheckpoint;
    const rows = Array.from(operator.entries("committed"), ([, row]) => row as { key: unknown });
    const view = this.#rowsView(table, host);
    reader?.send(() => this.#checks.shown(table, taskKey(task), checkpoint, rows, view));
  }

  #rowsView(table: string, host: SubtaskHost): StateView {
    const rows = new Map<string, View>();
    const operator = readerOf(host)?.table(table);
    if (operator === undefined) return rows;
    const view = this.#checks.view(`out-${table.slice("table-".length)}/rows`);
    for (const [key, row] of operator.entries("committed")) rows.set(keyText(key), view(row));
    return rows;
  }

  // What must come true.

  /** Or has failed for good, where its restart strategy says so. */
  #recovers(): "running" | "failed" {
    const wanted = this.#checks.completed + this.#world.checkpointsAfter;
    const reason = this.#waitFor(recoveryMax, this.#world.rests ? 1_000 : 50, () =>
      this.#missing(wanted),
    );
    for (const reader of this.#readers) this.#read(reader);
    if (reason !== undefined) throw new Violation(`P2: after ${recoveryMax} ms, ${reason}`);
    return this.#isSpent() ? "failed" : "running";
  }

  /** What is not as it must be; nothing of a job that has failed for good. */
  #missing(wanted: number): string | undefined {
    const { record, completed } = this.#checks;
    if (this.#isSpent()) return undefined;
    if (record?.phase !== "RUNNING") return `it is ${record?.phase}`;
    const isResting = record.restingSince !== undefined;
    if (completed < wanted && !isResting) return "checkpoints do not complete";
    if (this.#world.rests && !isResting) return "it does not come to rest";
    for (const { table } of this.#readers) {
      const rows = new Map<string, View>();
      for (const reader of this.#readers) {
        if (reader.table !== table) continue;
        for (const [key, row] of this.#rowsView(table, reader.host)) rows.set(key, row);
      }
      const wrong = this.#checks.final(table, rows);
      if (wrong !== undefined) return `${table}: ${wrong}`;
    }
    const letter = this.#letterProblem(true);
    if (letter !== undefined) return `dead letters: ${letter}`;
    // A stray goes with the next sweep, which a job that runs well does not need.
    const orphan = this.#checks.orphans().find((path) => !this.#deployed.bucket.strays.has(path));
    return orphan === undefined ? undefined : `${orphan} is an orphan`;
  }

  #restsAndWakes(): void {
    const { clock, bucket } = this.#deployed;
    clock.run(stragglersMax);
    const since = clock.now;
    clock.run(restWatched);
    const stirred = this.#deployed.stirredAfter(since);
    if (stirred !== undefined) throw new Violation(`P5: it rests, and there is ${stirred}`);
    const { reads } = bucket;
    const before = this.#checks.record;
    for (const source of this.#world.topology.sources.keys()) this.#feedOne(source);
    // It rests still when the first call is on its way.
    clock.run(1_000);
    const reason = this.#waitFor(recoveryMax, 1_000, () => this.#missing(0));
    if (reason !== undefined)
      throw new Violation(`P5: ${recoveryMax} ms after rows came, ${reason}`);
    const { attempt } = this.#checks.record!;
    if (attempt !== before?.attempt) throw new Violation("P5: it wakes up in another attempt");
    const looked = bucket.reads - reads;
    if (looked > 0) throw new Violation(`P5: it wakes up and reads ${looked} files`);
  }

  /** It has failed, and was restarted as often as its strategy may allow. */
  #isSpent(): boolean {
    const { record } = this.#checks;
    if (record?.phase !== "FAILING" && record?.phase !== "FAILED") return false;
    if (this.#hasNothingLeft) return true;
    return record.attempt > restartsOf(this.#world.options.restart).least;
  }

  /** The last checkpoint that was retained is damaged: the failure names it, and it stays. */
  get #hasNothingLeft(): boolean {
    const { record } = this.#checks;
    const [failure] = record?.failures ?? [];
    const [latest] = record?.checkpoints.retained ?? [];
    return (
      this.#isDamaged &&
      record?.isBeyondRestart === true &&
      latest !== undefined &&
      failure?.name === "CheckpointDamaged" &&
      failure.message.startsWith(`Checkpoint ${latest.id} is damaged`)
    );
  }

  #letterProblem(whole: boolean): string | undefined {
    const { mode, interval } = this.#world.options.checkpointing;
    // Without checkpoints they leave at once; and what a checkpoint that was given up has committed
    // comes again.
    const atLeast =
      mode === "AT_LEAST_ONCE" || interval === undefined || this.#checks.fallbacks > 0;
    return letterProblem(this.#world.topology, this.#deployed.topics, { atLeast, whole });
  }

  #ends(): void {
    const reason = this.#waitFor(endMax, 1_000, () => {
      const { record } = this.#checks;
      const isOver = record?.phase === "FAILED" ? this.#isSpent() : record?.phase === "CANCELED";
      if (record !== undefined && !isOver) return `it is ${record.phase}`;
      for (const host of this.#deployed.subtasks) {
        if (host.awake?.run?.isOver === false) return `${host.name} still runs`;
        if (host.durable?.resting !== undefined) return `${host.name} still rests`;
      }
      const { retention } = this.#world.options.checkpointing;
      const keeps = retention === "RETAIN_ON_CANCELLATION" || record?.isBeyondRestart === true;
      if (!keeps && record?.checkpoints.retained.length !== 0) {
        return "checkpoints are still retained";
      }
      const [file] = this.#checks.unreachable();
      return file === undefined ? undefined : `${file} is left behind`;
    });
    if (reason !== undefined)
      throw new Violation(`P3: ${endMax} ms after it was to end, ${reason}`);
    // It has committed what it has, and nothing twice.
    const letter = this.#letterProblem(false);
    if (letter !== undefined) throw new Violation(`P3: dead letters: ${letter}`);
  }

  /** Why it has not come true within that time; undefined where it has. */
  #waitFor(most: number, step: number, missing: () => string | undefined): string | undefined {
    let reason = missing();
    for (let waited = 0; reason !== undefined && waited < most; waited += step) {
      this.#deployed.clock.run(step);
      reason = missing();
    }
    return reason;
  }
}

/** Whoever answers to the name: one that rests is woken to be read, one that died is left alone. */
const readerOf = (host: SubtaskHost): SubtaskInstance | undefined =>
  host.awake ?? (host.durable?.resting === undefined ? undefined : host.instance);

/**
 * Restarts that a job of this strategy has had at least when it fails for good, and may have at most.
 * Some strategies forget older failures.
 */
function restartsOf(restart: RestartOptions): { readonly least: number; readonly most: number } {
  const endless = Number.POSITIVE_INFINITY;
  switch (restart.strategy) {
    case "none":
      return { least: 0, most: 0 };
    case "fixed-delay": {
      const { attempts = 1 } = restart;
      return { least: attempts, most: attempts };
    }
    case "failure-rate":
      return { least: restart.maxFailures ?? 1, most: endless };
    case "exponential-delay":
      return { least: restart.attempts ?? endless, most: endless };
  }
}
