// One job of a world, with what it is compared with: its readers, and what must come true of it.

import type { HoldKey } from "../format/holds.ts";
import { type JobId, type TaskId, taskKey } from "../format/ids.ts";
import type { JobPhase } from "../format/messages.ts";
import { vertexOf } from "../format/plan.ts";
import type { RestartOptions } from "../stream/config.ts";
import { isEnding, isTerminal } from "../coordinator/job-record.ts";
import { type Begin, Checks } from "./checks.ts";
import type { Cut } from "./cut.ts";
import { Deployed } from "./deployed.ts";
import { type Letters, letterProblem } from "./letters.ts";
import { type Lineage, type Offsets, topologyOf } from "./lineage.ts";
import type { JobShape } from "./moves.ts";
import type { Platform } from "./platform.ts";
import type { SubtaskHost, SubtaskInstance } from "./subtask.ts";
import { definitionOf, type TableShape, tableName, tableUid, type Topology } from "./topology.ts";
import { keyText, rowsOf, type StateView, type View } from "./views.ts";
import { Violation } from "./violation.ts";
import type { World, WorldOptions } from "./world.ts";

interface Reader {
  readonly table: TableShape;
  readonly host: SubtaskHost;
  readonly task: TaskId;
}

export interface JobRunOptions extends Omit<JobShape<WorldOptions>, "topology"> {
  /** The last of it is the job's own. */
  readonly lineage: Lineage;
  readonly letters: Letters;
  /** What it begins with. */
  readonly begin?: Begin | undefined;
}

/** What the jobs of a world need of one another. */
export interface Others {
  readonly need: (path: string) => boolean;
  readonly needHold: (by: JobId, hold: HoldKey) => boolean;
}

export class JobRun {
  readonly deployed: Deployed<Checks>;
  readonly checks: Checks;
  readonly lineage: Lineage;
  readonly options: WorldOptions;
  readonly letters: Letters;
  readonly begin: JobRunOptions["begin"];
  readonly #platform: Platform;
  readonly #world: World;
  /** The subtasks that hold a part of each table. */
  #readers: readonly Reader[] = [];
  #readersOf = 0;
  /** A checkpoint that it had to be restored from was damaged on purpose. */
  isDamaged = false;
  /** Jobs that began with a savepoint of this one while it went on. */
  branches = 0;

  constructor(platform: Platform, world: World, own: JobRunOptions) {
    const { lineage, options, memoryBudget, letters, begin } = own;
    const { faults } = platform;
    const topology = topologyOf(lineage);
    const stumble = (): void => {
      if (faults.strikes("userError")) throw new Error("This row is too much for me.");
    };
    this.lineage = lineage;
    this.options = options;
    this.letters = letters;
    this.begin = begin;
    this.#platform = platform;
    this.#world = world;
    const { checkpointing } = options;
    this.deployed = new Deployed(platform, {
      definition: definitionOf(topology, options, {
        stumble,
        lettersTo: letters.topic,
        log: platform.scene.log,
      }),
      rowCost: world.rowCost,
      service: topology.timed?.asked?.service,
      memoryBudget,
      ...(begin && { restore: begin.restore }),
      observe: (seen) => new Checks({ lineage, begin, seen, checkpointing }),
    });
    this.checks = this.deployed.checks;
  }

  /** Anew where there are more subtasks than there were. */
  get #allReaders(): readonly Reader[] {
    const { size } = this.deployed;
    if (size === this.#readersOf) return this.#readers;
    this.#readersOf = size;
    this.#readers = this.topology.tables.flatMap((table) =>
      this.deployed.subtasksOf(tableUid(table)).map((host) => ({ table, host, task: host.id })),
    );
    return this.#readers;
  }

  get topology(): Topology {
    return topologyOf(this.lineage);
  }

  get phase(): JobPhase | undefined {
    return this.checks.record?.phase;
  }

  get isOver(): boolean {
    return this.deployed.isRefused || (this.phase !== undefined && isTerminal(this.phase));
  }

  /** It is over, or will be. */
  get isEnding(): boolean {
    return this.phase !== undefined && (isTerminal(this.phase) || isEnding(this.phase));
  }

  readAll(): void {
    for (const reader of this.#allReaders) this.#read(reader);
  }

  /** As the production subtask answers `readTable`; the answer waits at the gate. */
  #read({ table, host, task }: Reader): void {
    const reader = readerOf(host);
    const operator = reader?.table(tableName(table));
    if (operator === undefined) return;
    const checkpoint = operator.committedCheckpoint;
    const rows = this.#rowsView(table, host);
    const { plan } = reader!.run!.task.deployment;
    const { parallelism } = vertexOf(plan, task.vertex);
    reader?.send(() => this.checks.shown(table, taskKey(task), { checkpoint, rows, parallelism }));
  }

  #rowsView(table: TableShape, host: SubtaskHost): StateView {
    const rows = new Map<string, View>();
    const operator = readerOf(host)?.table(tableName(table));
    if (operator === undefined) return rows;
    const view = this.checks.view(rowsOf(table));
    for (const [key, row] of operator.entries("committed")) rows.set(keyText(key), view(row));
    return rows;
  }

  /** What is not as it must be of a job that goes on; nothing of one that has failed for good. */
  missing(wanted: number, others: Others): string | undefined {
    const { record, completed } = this.checks;
    if (this.isSpent()) return undefined;
    if (record?.phase !== "RUNNING") return `it is ${record?.phase}`;
    const isResting = record.restingSince !== undefined;
    if (this.#isHeldInVain(others)) return "a checkpoint is held for nobody";
    if (completed < wanted && !isResting) return "checkpoints do not complete";
    if (this.#world.rests && !isResting) return "it does not come to rest";
    const wrong = this.checks.final(this.#tables, { hasEnded: false });
    if (wrong !== undefined) return wrong;
    const letter = this.letterProblem(this.#allRecords);
    if (letter !== undefined) return `dead letters: ${letter}`;
    // A stray goes with the next sweep, which a job that runs well does not need.
    const { strays } = this.#platform.bucket;
    const orphan = this.checks.orphans().find((path) => !strays.has(path) && !others.need(path));
    return orphan === undefined ? undefined : `${orphan} is an orphan`;
  }

  /** What each table shows, all subtasks together. */
  get #tables(): ReadonlyMap<TableShape, StateView> {
    const tables = new Map(this.topology.tables.map((table) => [table, new Map<string, View>()]));
    for (const { table, host } of this.#allReaders) {
      const rows = tables.get(table)!;
      for (const [key, row] of this.#rowsView(table, host)) rows.set(key, row);
    }
    return tables;
  }

  /** X15. What is wrong where event time has come to its end: of its input, or by a drain. */
  endProblem(drained?: Cut): string | undefined {
    const { timed } = this.topology;
    if (timed === undefined) return undefined;
    const wrong = this.checks.final(this.#tables, {
      ...(drained && { offsets: drained.timed }),
      hasEnded: true,
    });
    const isByClock = timed.program.kind === "clock timers";
    const left = isByClock ? undefined : drained?.holding.find((state) => !isCounting(state));
    return wrong ?? (left && `${left} still holds something`);
  }

  /** What is not as it must be of a job that has been told to end. */
  remaining(others: Others): string | undefined {
    const { record } = this.checks;
    const isOver = this.phase === "FAILED" ? this.isSpent() : this.isOver;
    if (this.#isHeldInVain(others)) return "a checkpoint is held for nobody";
    if (record !== undefined && !isOver) return `it is ${record.phase}`;
    for (const host of this.deployed.subtasks) {
      if (host.awake?.run?.isOver === false) return `${host.name} still runs`;
      const { isFinished, ...rest } = host.durable?.resting ?? {};
      if (Object.keys(rest).length > 0 && isFinished !== true) return `${host.name} still rests`;
    }
    const { retention } = this.options.checkpointing;
    const isKept = retention === "RETAIN_ON_CANCELLATION" && this.phase !== "FINISHED";
    if (!isKept && record?.isBeyondRestart !== true && record?.checkpoints.retained.length !== 0) {
      return "checkpoints are still retained";
    }
    const file = this.checks.unreachable().find((path) => !others.need(path));
    return file === undefined ? undefined : `${file} is left behind`;
  }

  #isHeldInVain({ needHold }: Others): boolean {
    const { holds = [] } = this.checks.record ?? {};
    return holds.some(({ by, nth }) => !needHold(by, { owner: this.deployed.id, nth }));
  }

  /** @param below exactly these have been processed; not known where absent */
  letterProblem(below?: Offsets): string | undefined {
    // What a checkpoint that was given up has committed comes again.
    const isLoose = this.checks.fallbacks > 0;
    const { topics } = this.#platform;
    return letterProblem(this.letters, topics, { isLoose, below, branches: this.branches });
  }

  get #allRecords(): Offsets {
    const { topics } = this.#platform;
    return this.topology.sources.map(({ partitions }, source) =>
      Array.from({ length: partitions }, (_, partition) => {
        return { partition, next: topics.rows(`topic-${source}`, partition).length };
      }),
    );
  }

  /** It has failed, and was restarted as often as its strategy may allow. */
  isSpent(): boolean {
    const { record } = this.checks;
    if (record?.phase !== "FAILING" && record?.phase !== "FAILED") return false;
    if (this.#hasNothingLeft) return true;
    return record.attempt > restartsOf(this.options.restart).least;
  }

  /** The last checkpoint that was retained is damaged: the failure names it, and it stays. */
  get #hasNothingLeft(): boolean {
    const { record } = this.checks;
    const [failure] = record?.failures ?? [];
    const [latest] = record?.checkpoints.retained ?? [];
    return (
      this.isDamaged &&
      record?.isBeyondRestart === true &&
      latest !== undefined &&
      failure?.name === "CheckpointDamaged" &&
      failure.message.startsWith(`Checkpoint ${latest.id} is damaged`)
    );
  }

  /** P4 */
  checkRestarts(): void {
    const { restarts } = this.checks;
    const { most } = restartsOf(this.options.restart);
    if (restarts > most) throw new Violation(`P4: ${restarts} restarts, and ${most} are allowed`);
  }
}

/** The state of what counts how often something was told, which stays. */
const isCounting = (state: string): boolean => state === "following/reduced";

/** Without checkpoints letters leave at once, and come again after a failure. */
export const repeatsLetters = ({ checkpointing }: WorldOptions): boolean =>
  checkpointing.mode === "AT_LEAST_ONCE" || checkpointing.interval === undefined;

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
