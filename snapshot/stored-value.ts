// A value as it is stored, and as people see it: where values expire, what is stored is a pair of the
// value and the time, per value, per element of a list, per entry of a map.

import { FormatError } from "../format/format-error.ts";
import type { StoredSchema } from "../format/segment.ts";

export interface ShownValue {
  readonly value: unknown;
  /** Milliseconds since 1970; of a list, of each of its elements. Absent where nothing expires. */
  readonly expires?: number | readonly number[];
}

type Expiring = readonly [value: unknown, expires: number];

export function shown({ ttl, holds }: StoredSchema, stored: unknown): ShownValue {
  if (!ttl) return { value: stored };
  if (holds !== "list") {
    const [value, expires] = stored as Expiring;
    return { value, expires };
  }
  const elements = stored as readonly Expiring[];
  return {
    value: elements.map(([value]) => value),
    expires: elements.map(([, expires]) => expires),
  };
}

/** What of the value lives at `now`; undefined where nothing does. */
export function alive(
  { ttl }: StoredSchema,
  given: ShownValue,
  now: number,
): ShownValue | undefined {
  const { value, expires } = given;
  if (!ttl || expires === undefined) return given;
  if (typeof expires === "number") return now < expires ? given : undefined;
  const elements = value as readonly unknown[];
  const living = elements.filter((_, at) => now < expires[at]!);
  if (living.length === 0) return undefined;
  return { value: living, expires: expires.filter((time) => now < time) };
}

/** The inverse of `shown`. @throws FormatError where value and times do not go together */
export function stored({ ttl, holds }: StoredSchema, { value, expires }: ShownValue): unknown {
  if (!ttl) {
    if (expires === undefined) return value;
    throw new FormatError("content", `Values of a state without ttl have no "expires"`);
  }
  if (holds !== "list") {
    if (typeof expires === "number") return [value, expires];
    throw new FormatError("content", `Values of this state expire: "expires" must be a number`);
  }
  const isList = Array.isArray(value) && Array.isArray(expires);
  if (isList && value.length === expires.length && value.length > 0) {
    return value.map((element, at) => [element, (expires as readonly number[])[at]]);
  }
  throw new FormatError(
    "content",
    `Elements of this state expire: "value" and "expires" must be lists of equal length, not empty`,
  );
}
