// Runs contestants against one another.
//   H1. In every round each contestant runs once, in an order that turns, so that what one leaves
//       behind (garbage, caches, a hot processor) meets all alike.
//   H2. Rounds to warm up are not among the measured ones.
//   H3. Every run is checked, outside of its time; a wrong answer ends the benchmark.

import { orderOf, ratioOf, type Summary, summaryOf } from "./statistics.ts";

export interface Contestant {
  readonly name: string;
  /** Rows of one run. */
  readonly rows: number;
  /** Its runs take minutes: there is none to warm up. */
  readonly isLong?: boolean;
  /** What is put in order before a run. */
  prepare?(): Promise<void>;
  /**
   * What is measured. May say itself what it took; one that does calls `begun` when what it takes begins, and
   * goes on when that is settled.
   */
  run(begun?: () => Promise<void>): Promise<Cost | void>;
  /** What is wrong with what the run left; empty where nothing is. */
  check(): Promise<readonly string[]>;
  /** Seconds of CPU that whatever runs it has used until now; for one that does not say itself. */
  cpuSeconds?(): Promise<number | undefined>;
}

export interface Cost {
  readonly seconds: number;
  /** Of CPU, by all threads; undefined where the machine does not tell. */
  readonly cpuSeconds: number | undefined;
  /** Where they are others than the contestant's. */
  readonly rows?: number;
}

/** One run. */
export interface Measurement extends Cost {
  readonly rows: number;
}

/** Of each contestant, by name, its measured rounds in order. */
export type Rounds = ReadonlyMap<string, readonly Measurement[]>;

export interface RoundOptions {
  readonly rounds: number;
  readonly warmUps: number;
  /** Told of every run, for whoever waits. */
  readonly say: (text: string) => void;
}

/** @throws Error where an answer is wrong (H3) */
export async function compete(
  contestants: readonly Contestant[],
  { rounds, warmUps, say }: RoundOptions,
): Promise<Rounds> {
  const measured = new Map(contestants.map(({ name }) => [name, [] as Measurement[]]));
  for (let round = -warmUps; round < rounds; round++) {
    for (const contestant of orderOf(contestants, round + warmUps)) {
      if (round < 0 && contestant.isLong) continue;
      const measurement = await measure(contestant);
      if (round >= 0) measured.get(contestant.name)!.push(measurement);
      const title = round < 0 ? "warm-up" : `round ${round + 1}`;
      const { seconds } = measurement;
      say(
        `${title}: ${contestant.name} ${millions(measurement.rows / seconds)} M rows/s (${seconds.toFixed(2)} s)`,
      );
    }
  }
  return measured;
}

async function measure(contestant: Contestant): Promise<Measurement> {
  const { rows } = contestant;
  await contestant.prepare?.();
  const cpuBefore = await contestant.cpuSeconds?.();
  const begunAt = performance.now();
  const told = await contestant.run();
  const seconds = (performance.now() - begunAt) / 1_000;
  const cpuAfter = await contestant.cpuSeconds?.();
  const wrong = await contestant.check();
  if (wrong.length > 0) throw new Error(`${contestant.name}: ${wrong.join("; ")}`);
  if (told !== undefined) return { rows, ...told };
  const isKnown = cpuBefore !== undefined && cpuAfter !== undefined;
  return { rows, seconds, cpuSeconds: isKnown ? cpuAfter - cpuBefore : undefined };
}

export const millions = (value: number): string => (value / 1e6).toFixed(value < 1e5 ? 4 : 3);

/** Rows per second of a contestant. */
export const rateOf = (rounds: Rounds, name: string): Summary => summaryOf(ratesOf(rounds, name));

/** Rows per second of CPU of a contestant; undefined where it is not known. */
export function cpuRateOf(rounds: Rounds, name: string): Summary | undefined {
  const rates = cpuRatesOf(rounds, name);
  return rates === undefined ? undefined : summaryOf(rates);
}

/** How often as fast `ours` is as `theirs`, round by round. */
export const speedRatio = (rounds: Rounds, ours: string, theirs: string): Summary =>
  ratioOf(ratesOf(rounds, ours), ratesOf(rounds, theirs));

/**
 * The same of rows per second of CPU, which tells more on a machine that others use, too; undefined
 * where it is not known.
 */
export function cpuRatio(rounds: Rounds, ours: string, theirs: string): Summary | undefined {
  const [a, b] = [cpuRatesOf(rounds, ours), cpuRatesOf(rounds, theirs)];
  return a === undefined || b === undefined ? undefined : ratioOf(a, b);
}

/** How often as much a row of `ours` costs as one of `theirs`, round by round. */
export const costRatio = (rounds: Rounds, ours: string, theirs: string): Summary =>
  speedRatio(rounds, theirs, ours);

/** The same by seconds of CPU; undefined where they are not known. */
export const cpuCostRatio = (rounds: Rounds, ours: string, theirs: string): Summary | undefined =>
  cpuRatio(rounds, theirs, ours);

/** Microseconds of CPU that a row of a contestant costs; undefined where it is not known. */
export function cpuPerRow(rounds: Rounds, name: string): Summary | undefined {
  const rates = cpuRatesOf(rounds, name);
  return rates && summaryOf(rates.map((rate) => 1e6 / rate));
}

/** What a run of more rows was beyond one of fewer, round by round. */
export function furtherRows(rounds: Rounds, fewer: string, more: string): Measurement[] {
  return rounds.get(more)!.map((long, round) => {
    const short = rounds.get(fewer)![round]!;
    const isKnown = long.cpuSeconds !== undefined && short.cpuSeconds !== undefined;
    return {
      rows: long.rows - short.rows,
      seconds: long.seconds - short.seconds,
      cpuSeconds: isKnown ? long.cpuSeconds - short.cpuSeconds : undefined,
    };
  });
}

const ratesOf = (rounds: Rounds, name: string): number[] =>
  rounds.get(name)!.map(({ rows, seconds }) => rows / seconds);

function cpuRatesOf(rounds: Rounds, name: string): number[] | undefined {
  const rates = rounds
    .get(name)!
    .map(({ rows, cpuSeconds = 0 }) => (cpuSeconds > 0 ? rows / cpuSeconds : undefined));
  return rates.every((rate) => rate !== undefined) ? rates : undefined;
}
