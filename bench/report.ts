// Results for people.

import type { BenchmarkResult } from "./benchmark.ts";
import type { Summary } from "./statistics.ts";

/** A table of the figures, and one of the ratios. */
export function tableOf(
  name: string,
  { figures, ratios, cpuRatios = {} }: BenchmarkResult,
): string {
  const lines = [
    ...Object.entries(figures).map(([figure, summary]) => row(figure, summary, summary.unit)),
    ...Object.entries(ratios).map(([ratio, summary]) => row(ratio, summary, "times")),
    ...Object.entries(cpuRatios).map(([ratio, summary]) => row(ratio, summary, "times, by CPU")),
  ];
  const head = ["", "median", "min", "max", ""];
  return [`\n${name}`, ...aligned([head, ...lines])].join("\n");
}

const row = (name: string, { median, min, max }: Summary, unit: string): string[] => [
  name,
  ...[median, min, max].map(number),
  unit,
];

const number = (value: number): string =>
  value >= 100
    ? Math.round(value).toLocaleString("en")
    : value.toLocaleString("en", { maximumSignificantDigits: 3 });

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row
      .map((cell, at) =>
        at === 0 || at === row.length - 1 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!),
      )
      .join("  ")
      .trimEnd(),
  );
}
