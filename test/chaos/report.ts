// What a run of chaos says: a line for every strike, and a page or an object at the end.

import { verdict } from "../../examples/01-flight-delays/report.ts";
import { fixed, whole } from "../../examples/flights/figures.ts";
import type { CheckpointEntry } from "../../examples/flights/local-job.ts";
import { commandLine, type Options } from "./options.ts";
import { type FaultKind, faultKinds } from "./schedule.ts";
import type { Strike } from "./strikes.ts";

/** What a run came to. */
export interface Result {
  readonly options: Options;
  /** From the first row sent until every row was in a completed checkpoint. */
  readonly seconds: number;
  readonly strikes: readonly Strike[];
  /** Connections that were cut. */
  readonly cuts: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly state: string;
  readonly attempts: number;
  readonly checkpointsCompleted: number;
  readonly completions: readonly CheckpointEntry[];
  /** A checkpoint that began after the last fault was completed before anybody asked for anything. */
  readonly recoveredUnasked: boolean;
  /** Nothing where the job counted exactly what the file holds. */
  readonly differences: readonly string[];
}

/** Exactly once, and alive: what exit code 0 means. */
export const holds = ({ differences, state }: Result): boolean =>
  differences.length === 0 && state === "RUNNING";

export const line = (begunAt: number, at: number, text: string): string =>
  `${fixed((at - begunAt) / 1_000).padStart(7)} s  ${text}`;

export function page(result: Result): string {
  const { options, seconds } = result;
  const { done, refused } = countsOf(result.strikes);
  const list = (counts: Readonly<Record<FaultKind, number>>): string =>
    faultKinds.map((kind) => `${counts[kind]} ${kind}`).join(", ");
  const [slowest] = recoveries(result);
  const alone = recoveries(result).find(({ others }) => others === 0);
  return [
    "",
    `rows         ${whole(options.rows)} in ${fixed(seconds)} s`,
    `faults       ${list(done)}`,
    `without      ${list(refused)}`,
    `connections  ${result.cuts} cut; ${result.repeated} requests repeated, ${result.duplicates} of them recognised as kept already`,
    `job          ${result.state}, ${result.attempts} attempts, ${result.checkpointsCompleted} checkpoints completed`,
    ...[...new Set([slowest, alone])].flatMap((found) => (found ? recoveryLine(found) : [])),
    `unasked      ${result.recoveredUnasked ? "a checkpoint completed after the last fault before anybody asked" : "no checkpoint completed after the last fault until somebody asked"}`,
    ...verdict(result.differences),
    commandLine(options),
  ].join("\n");
}

/** The object of `--json`. */
export function summaryOf(result: Result): object {
  const { options, differences, strikes, seconds } = result;
  const [slowest] = recoveries(result);
  return {
    exact: differences.length === 0,
    seed: options.seed,
    minutes: options.minutes,
    rows: options.rows,
    seconds: Number(seconds.toFixed(3)),
    state: result.state,
    attempts: result.attempts,
    checkpointsCompleted: result.checkpointsCompleted,
    faults: countsOf(strikes).done,
    connectionsCut: result.cuts,
    duplicates: result.duplicates,
    slowestRecoverySeconds: slowest === undefined ? null : Number(slowest.seconds.toFixed(3)),
    recoveredUnasked: result.recoveredUnasked,
  };
}

type Counts = Record<FaultKind, number>;

function countsOf(strikes: readonly Strike[]): { readonly done: Counts; readonly refused: Counts } {
  const count = (isDone: boolean): Counts =>
    Object.fromEntries(
      faultKinds.map((kind) => [
        kind,
        strikes.filter((strike) => strike.fault.kind === kind && strike.isDone === isDone).length,
      ]),
    ) as Counts;
  return { done: count(true), refused: count(false) };
}

interface Recovery {
  readonly seconds: number;
  /** What the job recovered from. */
  readonly strike: Strike;
  /** Faults that struck it meanwhile. */
  readonly others: number;
}

/** Kinds of fault that the job has to recover from. */
const harmful: readonly FaultKind[] = ["kill", "abort", "evict"];

/** The times from each fault until a checkpoint begun after it was complete, longest first. */
function recoveries({ strikes, completions }: Result): Recovery[] {
  const harms = strikes.filter(({ fault, isDone }) => isDone && harmful.includes(fault.kind));
  return harms
    .map((strike) => {
      const ends = completions
        .filter(({ trigger_timestamp }) => trigger_timestamp >= strike.at)
        .map(({ latest_ack_timestamp }) => latest_ack_timestamp);
      const end = Math.min(...ends);
      const others = harms.filter(({ at }) => at > strike.at && at < end).length;
      return { seconds: (end - strike.at) / 1_000, strike, others };
    })
    .sort((a, b) => b.seconds - a.seconds);
}

const recoveryLine = ({ seconds, strike, others }: Recovery): string =>
  `recovery     ${fixed(seconds)} s at the slowest, struck ${others} times more meanwhile: ${strike.text}`;
