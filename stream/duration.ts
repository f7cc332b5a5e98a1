// Durations as a user writes them: a number of milliseconds, or a text with a unit.

type Spaced<Unit extends string> = `${number}${"" | " "}${Unit}`;

/** Milliseconds, or a text: `"10s"`, `"500 ms"`, `"1 min"`, `"2 h"`, `"1 d"`. */
export type TimeSpan = number | Spaced<"ms" | "s" | "min" | "h" | "d">;

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The whole milliseconds that are meant, or undefined where it is no duration. */
export function timeSpanOf(given: unknown): number | undefined {
  const span = typeof given === "string" ? measure(given) : given;
  return typeof span === "number" && Number.isSafeInteger(span) && span >= 0 ? span : undefined;
}

/** The same of one that may be negative. */
export function signedTimeSpanOf(given: unknown): number | undefined {
  const isNegative = typeof given === "string" ? /^\s*-/.test(given) : Number(given) < 0;
  if (!isNegative) return timeSpanOf(given);
  const span = timeSpanOf(typeof given === "string" ? given.replace("-", "") : -Number(given));
  return span === undefined ? undefined : -span;
}

function measure(text: string): number | undefined {
  const [, number, unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = unit === "" ? 1 : units[unit.toLowerCase()];
  return number === undefined || factor === undefined
    ? undefined
    : Math.round(Number(number) * factor);
}
