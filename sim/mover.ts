// Carries out the moves of a world, one after the other: asks for savepoints, waits for what becomes of
// them, starts the jobs that go on from them.
//   X9. A request is accepted, and repeated it is the same request. One whose savepoint failed has
//       changed nothing: the job goes on, or is asked again.
//   X10. A job that a savepoint has stopped is FINISHED, or CANCELED where it was to be; every letter of
//        the records below the savepoint is in its topic then, and no other.
//   X12. What a job is to begin with is kept for it from the moment it was said to be, until it has a
//        checkpoint of its own or never comes (checks.ts, X4); in the end nothing is held for nobody.
//   X11. A program that fits a savepoint is started from it. One that leaves state behind is told so, and
//        is started where it may.

import { misfits } from "../coordinator/changed-code.ts";
import type { HoldKey } from "../format/holds.ts";
import { decodeManifest, manifestFiles } from "../format/manifest.ts";
import type { RescaleAnswer } from "../format/job-status.ts";
import type { JobSubmission, TaskDeployment } from "../format/messages.ts";
import { jobPrefix } from "../format/paths.ts";
import { planOf } from "../coordinator/plan.ts";
import type { Cut } from "./cut.ts";
import { JobRun, repeatsLetters } from "./job-run.ts";
import type { Lineage } from "./lineage.ts";
import { drawnSizes, type Hop, type JobShape, type Move } from "./moves.ts";
import type { Platform } from "./platform.ts";
import { definitionOf } from "./topology.ts";
import { must } from "./violation.ts";
import type { World, WorldOptions } from "./world.ts";

/** Milliseconds between two looks at what has become of a request. */
const lookEvery = 20;

/** Milliseconds in which a job that is to be cancelled may have another checkpoint. */
const cancelWithin = 500;

/** What a job goes on from. */
interface Start {
  readonly cut: Cut;
  /** Of what the states in it have met. */
  readonly lineage: Lineage;
  /** Under which it is kept. */
  readonly hold?: HoldKey;
}

/** Of a job that was cancelled and keeps what it has: its last checkpoint, or what it began with. */
function retainedOf({ checks, lineage, begin }: JobRun): Start | undefined {
  const [latest] = checks.record?.checkpoints.retained ?? [];
  const cut = latest && checks.cut(latest.id);
  if (cut !== undefined) return { cut, lineage };
  if (begin === undefined) return undefined;
  return { cut: begin.cut, lineage: lineage.slice(0, -1) };
}

export class Mover {
  readonly #platform: Platform;
  readonly #world: World;
  readonly #started: number;
  readonly #begun: (job: JobRun) => void;
  readonly #left: Move<WorldOptions>[];
  readonly #jobs: JobRun[];
  #head: JobRun;
  #triggers = 0;
  #doing: string | undefined;

  /** @param begun told of every job that is started after the first */
  constructor(platform: Platform, world: World, head: JobRun, begun: (job: JobRun) => void) {
    this.#platform = platform;
    this.#world = world;
    this.#started = platform.clock.now;
    this.#head = head;
    this.#jobs = [head];
    this.#begun = begun;
    this.#left = [...world.moves];
    this.#next();
  }

  /** The job that the others lead to, so far. */
  get head(): JobRun {
    return this.#head;
  }

  /** What is still to be done. */
  get missing(): string | undefined {
    const [next] = this.#left;
    return this.#doing ?? (next && `it is to ${next.kind} yet`);
  }

  /** Ends the last job with a savepoint. */
  stop(how: { readonly drains?: true } = {}, again = 4): void {
    this.#doing = "it is being stopped";
    this.#ended(
      "stop",
      this.#head,
      (cut) => {
        // What was under way when the faults ended may be slow yet, or wait for an answer that is lost.
        if (cut === undefined && again > 0) return this.stop(how, again - 1);
        this.#doing = undefined;
        must(cut !== undefined, () => "X9: nothing goes wrong, and savepoints fail");
      },
      how,
    );
  }

  #next(): void {
    const move = this.#left[0];
    if (move === undefined) return;
    this.#platform.clock.later(this.#started + move.at - this.#platform.clock.now, () => {
      this.#left.shift();
      this.#doing = `it is to ${move.kind}`;
      this.#do(move, () => {
        this.#doing = undefined;
        this.#next();
      });
    });
  }

  #do(move: Move<WorldOptions>, done: () => void): void {
    const from = this.#head;
    const goOn = (cut: Cut | undefined): void => {
      // What was drawn goes on from what does not come to be.
      if (cut === undefined) this.#left.length = 0;
      else this.#begin(from, move as Hop<WorldOptions>, { cut, lineage: from.lineage });
      done();
    };
    const held = (start: Start | undefined, claims: boolean): void => {
      if (start === undefined) this.#left.length = 0;
      else this.#begin(from, { ...(move as Hop<WorldOptions>), claims }, start);
      done();
    };
    switch (move.kind) {
      case "savepoint":
        return this.#savepoint(from, {}, done);
      case "drain":
        return this.#ended("stop", from, () => done(), { drains: true });
      case "rescale":
        return this.#rescaled(from, move, done);
      case "branch":
        return this.#savepoint(from, {}, (cut) => {
          if (cut !== undefined) from.branches++;
          goOn(cut);
        });
      case "retained":
        this.#cancel(from);
        return this.#until(
          () => from.isOver,
          () => {
            const start = retainedOf(from);
            const path = start?.cut.path;
            const keeper = this.#jobs.find(({ deployed }) =>
              path?.startsWith(jobPrefix(deployed.id)),
            );
            // A savepoint is its user's, who keeps it.
            if (start === undefined || keeper === undefined) {
              this.#begin(from, { ...move, claims: false }, start);
              return done();
            }
            const claims = move.claims && keeper === from;
            this.#held(keeper, { start, claims }, held);
          },
        );
      case "fork":
        return this.#held(from, {}, held);
      case "stop":
      case "cancel":
        return this.#ended(move.kind, from, goOn);
      default:
        move satisfies never;
    }
  }

  /**
   * The latest checkpoint of a job, kept for another that is to begin with it: as the Worker does it,
   * which may be given up by its client at any time.
   */
  #held(
    keeper: JobRun,
    what: { readonly start?: Start; readonly claims?: boolean },
    then: (start: Start | undefined, isClaimed: boolean) => void,
    tries = 0,
  ): void {
    const { clock, faults, nextId } = this.#platform;
    const { prng } = faults;
    const { start, claims = false } = what;
    const again = (): void => {
      if (tries > 2 && prng.chance(0.3)) return then(undefined, false);
      clock.later(prng.between(20, 300), () => this.#held(keeper, what, then, tries + 1));
    };
    const request = {
      by: nextId,
      ...(start && { path: start.cut.path }),
      ...(claims && { claims: true as const }),
    };
    keeper.deployed.hold(request, (answer) => {
      if (answer.kind !== "held") return again();
      const { hold, path } = answer;
      const record = keeper.checks.record?.holds?.find(({ nth }) => nth === hold.nth);
      // By then the hold may have been given up already, where the answer took its time.
      const cut = record && keeper.checks.cut(record.checkpoint.id);
      if (cut === undefined) return again();
      if (prng.chance(0.1)) {
        if (prng.chance(0.5)) keeper.deployed.withdraw(hold.nth);
        return again();
      }
      clock.later(prng.chance(0.1) ? prng.below(150_000) : 0, () => {
        if (this.#platform.hasRenounced(nextId, hold)) return again();
        const files = new Set([path, ...[...cut.files].filter((file) => file !== cut.path)]);
        const { lineage } = start ?? keeper;
        then({ cut: { ...cut, path, files }, lineage, hold }, claims);
      });
    });
  }

  /** Or goes on, where the savepoint has failed. */
  #ended(
    ends: "stop" | "cancel",
    job: JobRun,
    then: (cut: Cut | undefined) => void,
    { drains }: { readonly drains?: true } = {},
  ): void {
    if (drains) job.checks.drains();
    this.#savepoint(job, { ends, ...(drains && { drains }) }, (cut) => {
      if (cut === undefined) return then(undefined);
      // What is complete is to be committed yet, which may take a while, and somebody dies meanwhile.
      const { faults, topics } = this.#platform;
      if (faults.prng.chance(0.4)) this.#strike(job);
      if (faults.prng.chance(0.4)) topics.keepBusy(faults.prng.between(20, 300));
      this.#until(
        () => job.isOver,
        () => {
          const phase = ends === "stop" ? "FINISHED" : "CANCELED";
          must(job.phase === phase, () => `X10: it was to be ${phase} and is ${job.phase}`);
          const letter = job.letterProblem(cut.offsets);
          must(letter === undefined, () => `X10: dead letters of a job that has ended: ${letter}`);
          const wrong = drains && job.endProblem(cut);
          must(wrong === undefined, () => `X15: it is drained, and ${wrong}`);
          then(cut);
        },
        // At once: what is still on its way to the topic comes too late.
        1,
      );
    });
  }

  /** Where it fails it is asked for again, for as long as anybody cares. */
  #savepoint(
    job: JobRun,
    how: { readonly ends?: "stop" | "cancel"; readonly drains?: true },
    then: (cut: Cut | undefined) => void,
  ): void {
    const { clock, faults } = this.#platform;
    const { prng } = faults;
    const { savepoints } = job.checks;
    const trigger = String(++this.#triggers).padStart(32, "0");
    const directory = prng.pick(["savepoints/", "savepoints/mine/"]);
    const { ends } = how;
    const request = { trigger, directory, ...how };
    let isRefused = false;
    const ask = (): void =>
      job.deployed.savepoint(request, (answer) => {
        if (answer.kind === "accepted") return;
        must(
          job.isEnding && !savepoints.isKnown(trigger),
          () => `X9: request ${trigger} of a job that is ${job.phase}: ${answer.reason}`,
        );
        isRefused = true;
      });
    ask();
    if (prng.chance(0.3)) clock.later(prng.below(600), ask);
    if (prng.chance(0.3)) clock.later(prng.below(300), () => this.#strike(job));
    this.#until(
      () => isRefused || savepoints.outcomeOf(trigger) !== undefined,
      () => {
        const outcome = savepoints.outcomeOf(trigger);
        if (outcome?.kind === "completed") return then(savepoints.cutAt(outcome.path));
        if (prng.chance(0.5)) return then(undefined);
        clock.later(prng.between(20, 300), () => this.#savepoint(job, how, then));
      },
      ends === undefined ? lookEvery : 1,
    );
  }

  /** Whatever comes of it: the job runs on, in the one size or the other. */
  #rescaled(job: JobRun, { isRefused }: { readonly isRefused: boolean }, then: () => void): void {
    const { clock, faults } = this.#platform;
    const { prng } = faults;
    const { deployed, checks } = job;
    const { vertices, maxParallelism } = checks.record?.plan ?? deployed.plan;
    const drawn = drawnSizes(prng, vertices.length, maxParallelism);
    const isKnown = job.topology.timed?.late === "known";
    const sizes = vertices.map(({ id, source }, at) => {
      return [id, isKnown && source !== undefined ? 1 : drawn[at]!] as const;
    });
    const request = Object.fromEntries(
      sizes.map(([id, upperBound]) => [id, { lowerBound: 1, upperBound }]),
    );
    const before = checks.record?.rescales?.length ?? 0;
    let answer: RescaleAnswer | undefined;
    deployed.rescale(request, (heard) => (answer = heard));
    if (prng.chance(0.5)) clock.later(prng.below(300), () => this.#strike(job));
    if (isRefused) this.#refuse(job, new Map(sizes));
    this.#until(
      () => {
        const { rescales = [] } = checks.record ?? {};
        const kind = rescales[0]?.progress.kind;
        const isOver = rescales.length === before || kind === "completed" || kind === "failed";
        return job.isEnding || (answer !== undefined && isOver);
      },
      () => {
        const isAccepted =
          answer?.kind === "accepted" ||
          answer?.kind === "unchanged" ||
          (answer?.kind === "refused" && answer.reason.includes("is finishing"));
        must(isAccepted || job.isEnding, () => `X9: a size is ${JSON.stringify(answer)}`);
        deployed.refusalOf = () => undefined;
        then();
      },
    );
  }

  /** One subtask does not start in that size, however often it is tried. */
  #refuse({ deployed }: JobRun, sizes: ReadonlyMap<string, number>): void {
    const [vertex, size] = this.#platform.faults.prng.pick([...sizes]);
    const isOf = ({ plan }: TaskDeployment): boolean =>
      plan.vertices.every(({ id, parallelism }) => sizes.get(id) === parallelism);
    deployed.refusalOf = (deployment) => {
      const { task } = deployment;
      const isIt = task.vertex === vertex && task.index === size - 1;
      return isIt && isOf(deployment) ? "It does not fit." : undefined;
    };
  }

  /** Often just when a checkpoint is complete: who has heard of it then, and who has not? */
  #cancel({ deployed, checks }: JobRun): void {
    const { completed } = checks;
    if (this.#platform.faults.prng.chance(0.4)) return deployed.cancel();
    const at = this.#platform.clock.now + cancelWithin;
    this.#until(
      () => checks.completed > completed || this.#platform.clock.now >= at,
      () => {
        // What they had prepared is then to be committed by those that come after them.
        const { prng, areOn } = this.#platform.faults;
        if (areOn && prng.chance(0.4)) for (const subtask of deployed.subtasks) subtask.crash();
        deployed.cancel();
      },
      1,
    );
  }

  /** Somebody dies just when a savepoint is taken or has stopped the job. */
  #strike({ deployed }: JobRun): void {
    const { prng, areOn } = this.#platform.faults;
    if (!areOn) return;
    if (prng.chance(0.3)) deployed.coordinator.crash();
    else prng.pick(deployed.subtasks).crash();
  }

  /** The job that a move leads to; it begins with nothing where there is nothing yet. */
  #begin(from: JobRun, { kind, next, claims }: Hop<WorldOptions>, start: Start | undefined): void {
    const { cut, lineage: before = [], hold } = start ?? {};
    const isBranch = kind === "branch" || kind === "fork";
    const topic = isBranch ? `${from.letters.topic}-branch` : from.letters.topic;
    const { topology } = next;
    const lineage: Lineage = [...before, { topology, from: cut?.offsets ?? [] }];
    const first = isBranch ? cut?.offsets : from.letters.from;
    const letters = {
      topic,
      lineage,
      ...(first && { from: first }),
      atLeast: from.letters.atLeast || repeatsLetters(next.options),
      hadRows: isBranch ? cut?.hasRows === true : from.letters.hadRows === true,
    };
    this.#platform.scene.log?.(
      `client: starts another job from ${cut?.path ?? "nothing"}` +
        (cut?.hasRows === true ? ", with rows on their way" : ""),
    );
    this.#head = new JobRun(this.#platform, this.#world, {
      ...next,
      lineage,
      letters,
      ...(cut && {
        begin: { cut, restore: this.#restoreOf({ cut, claims, hold }, next, topic) },
      }),
    });
    if (cut !== undefined && claims) from.checks.savepoints.claimed(cut);
    this.#jobs.push(this.#head);
    this.#begun(this.#head);
  }

  /** As the Worker finds it out, before anything is started. */
  #restoreOf(
    begin: { readonly cut: Cut; readonly claims: boolean; readonly hold: HoldKey | undefined },
    { topology, options }: JobShape<WorldOptions>,
    lettersTo: string,
  ): NonNullable<JobSubmission["restore"]> {
    const { cut, claims, hold } = begin;
    const { path, checkpoint } = cut;
    const manifest = decodeManifest(this.#platform.bucket.files.get(path)!, path);
    const { graph } = definitionOf(topology, options, { stumble: () => {}, lettersTo });
    const plan = planOf(graph);
    const own = new Set(plan.vertices.flatMap(({ operators }) => operators));
    const states = manifest.tasks.flatMap(({ state }) => [...state.keyed, ...state.operator]);
    const gone = states.filter(({ uid }) => !own.has(uid));
    const reasons = (allowNonRestoredState: boolean): string[] =>
      misfits(manifest, plan, { checkpoint: path, program: "it", allowNonRestoredState });
    must(
      reasons(false).length === 0 || gone.length > 0,
      () => `X11: it is not started: ${reasons(false).join(" ")}`,
    );
    for (const { uid } of gone) {
      const isNamed = reasons(false).some((reason) => reason.includes(`"${uid}"`));
      must(isNamed, () => `X11: nobody says that the state of ${uid} is left behind`);
    }
    const leavesState = gone.length > 0;
    const wrong = reasons(leavesState);
    must(wrong.length === 0, () => `X11: it is not started: ${wrong.join(" ")}`);
    const { attempt, completedAt } = manifest;
    const files = [...new Set([path, ...manifestFiles(manifest)])];
    return {
      path,
      checkpoint,
      allowNonRestoredState: leavesState,
      ...(hold && { hold }),
      ...(claims && { claimed: { attempt, completedAt, files } }),
    };
  }

  #until(holds: () => boolean, then: () => void, every = lookEvery): void {
    if (holds()) return then();
    this.#platform.clock.later(every, () => this.#until(holds, then, every));
  }
}
