// Rows as JSON for people to read. JSON has fewer values than rows have; what it lacks is written so
// that it can be read, not so that it can be read back:
//
//   bigint                  its digits, as a string
//   NaN, Infinity           "NaN", "Infinity", "-Infinity"
//   Date                    ISO 8601, or "Invalid Date"
//   Map                     [[key, value], …]
//   Set, typed arrays       an array
//   Uint8Array, ArrayBuffer base64
//   undefined               null; as a field of an object it is left out
//   a value inside itself   "[circular]"
//   anything else           its text

/** A value that `JSON.stringify` writes as it stands. */
export function jsonOf(value: unknown): unknown {
  return readable(value, []);
}

function readable(value: unknown, around: readonly object[]): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "undefined":
      return null;
    case "object":
      if (value === null) return null;
      if (around.includes(value)) return "[circular]";
      return readableObject(value, [...around, value]);
    default:
      return textOf(value);
  }
}

function readableObject(value: object, around: readonly object[]): unknown {
  const all = (values: Iterable<unknown>): unknown[] =>
    Array.from(values, (inner) => readable(inner, around));
  if (Array.isArray(value)) return all(value);
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof Map) return all(value);
  if (value instanceof Set) return all(value);
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value));
  if (value instanceof Uint8Array) return base64(value);
  if (ArrayBuffer.isView(value) && Symbol.iterator in value) return all(value as Iterable<unknown>);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return textOf(value);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([name, inner]) => [name, readable(inner, around)]),
  );
}

const textOf = (value: unknown): string => String(value);

const base64 = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
