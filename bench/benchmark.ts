// What a benchmark is, to the command line, and what comes of one.

import type { Summary } from "./statistics.ts";

export interface BenchmarkOptions {
  /** Rows of one run, of those that are measured in rows. */
  readonly rows: number;
  readonly rounds: number;
  readonly warmUps: number;
  /** Small sizes, for those that have more than one: to see that it works. */
  readonly quick: boolean;
  /** With the sizes that take many minutes, too. */
  readonly large: boolean;
  /** Where the benchmark that draws a curve writes it; nowhere where absent. */
  readonly svg: string | undefined;
  /** Contestants to measure; all where none is named. */
  readonly only: readonly string[];
  readonly say: (text: string) => void;
}

/** One measured quantity. */
export interface Figure extends Summary {
  readonly unit: string;
}

export interface BenchmarkResult {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly ratios: Readonly<Record<string, Summary>>;
  /** Those of `ratios` that are of speeds, made of seconds of CPU. */
  readonly cpuRatios?: Readonly<Record<string, Summary>>;
}

export interface Benchmark {
  readonly name: string;
  /** For `--help`. */
  readonly summary: string;
  readonly run: (options: BenchmarkOptions) => Promise<BenchmarkResult>;
}
