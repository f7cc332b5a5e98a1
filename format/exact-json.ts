// Any value as JSON that says exactly what it is, and back: for people who look into state, and for
// files in which they repair it. What JSON has stands as it is; what it lacks is an object whose only
// key is a mark:
//
//   {"$undefined": true}            {"$bigint": "123"}         {"$bytes": base64 of a Uint8Array}
//   {"$number": "NaN"}, or "Infinity", "-Infinity", "-0"       {"$date": ISO 8601, null: invalid}
//   {"$map": [[key, value], …]}     {"$set": [value, …]}
//   {"$object": {…}}                an object that looks like a mark and is none
//   {"$devalue": …}                 anything else: what devalue makes of it (value.ts), as it is stored
//
//   J1. What is read equals what was written, as in value.ts; where a value is in two places of
//       another, or inside itself, the whole is written by devalue.
//   J2. Two keys (key.ts) are written alike exactly where they are the same key.

import { FormatError } from "./format-error.ts";
import { isKey, type Key, keyProblem } from "./key.ts";
import { decodeValue, encodeValue } from "./value.ts";

/** Levels written as they nest; what is deeper goes the way of devalue, which is flat. */
const depthMax = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * What `JSON.stringify` then writes.
 *
 * @throws ValueNotSerialisableError for what no state can hold
 */
export function exactJson(value: unknown): unknown {
  const written = write(value, new Set(), 0);
  if (written !== inexpressible) return written;
  return { $devalue: JSON.parse(decoder.decode(encodeValue(value))) as unknown };
}

/** A key as JSON: -0 is 0, as it is among keys. */
export const keyJson = (key: Key): unknown => exactJson(canonical(key));

const canonical = (key: Key): Key =>
  typeof key === "object" ? key.map(canonical) : key === 0 ? 0 : key;

/** The value that `exactJson` was given. @throws FormatError that says what is wrong and where */
export const fromExactJson = (json: unknown): unknown => read(json, "value");

/** The key that `keyJson` was given. @throws FormatError */
export function keyFromJson(json: unknown): Key {
  const key = read(json, "key");
  if (isKey(key)) return key;
  throw new FormatError("content", `The key ${keyProblem(key)}`);
}

/** The text of a key in a line or an answer; ordered by it, keys are ordered for good. */
export const keyText = (key: Key): string => JSON.stringify(keyJson(key));

/**
 * The keys that a text of a URL or a command line may mean, in the order in which they are to be looked
 * for: what it is as exact JSON, then the text as it stands. So every key can be written (a string in
 * quotes), and most strings need none.
 */
export function keysOfText(text: string): Key[] {
  try {
    const key = keyFromJson(JSON.parse(text));
    return key === text ? [text] : [key, text];
  } catch {
    return [text];
  }
}

const inexpressible = Symbol();

function write(value: unknown, seen: Set<object>, depth: number): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "undefined":
      return { $undefined: true };
    case "bigint":
      return { $bigint: String(value) };
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return { $number: Object.is(value, -0) ? "-0" : String(value) };
    case "object":
      if (value === null) return null;
      if (depth === depthMax || seen.has(value)) return inexpressible;
      seen.add(value);
      return writeObject(value, seen, depth + 1);
    default:
      return inexpressible;
  }
}

function writeObject(value: object, seen: Set<object>, depth: number): unknown {
  const all = (values: Iterable<unknown>): unknown[] | typeof inexpressible => {
    const written = Array.from(values, (inner) => write(inner, seen, depth));
    return written.includes(inexpressible) ? inexpressible : written;
  };
  const marked = (mark: string, written: unknown): unknown =>
    written === inexpressible ? inexpressible : { [mark]: written };
  switch (Object.getPrototypeOf(value)) {
    case Object.prototype:
      return writePlain(value as Readonly<Record<string, unknown>>, all);
    case Array.prototype:
      return Object.keys(value).length === (value as unknown[]).length
        ? all(value as unknown[])
        : inexpressible;
    case Date.prototype: {
      const time = (value as Date).getTime();
      return { $date: Number.isNaN(time) ? null : (value as Date).toISOString() };
    }
    case Map.prototype:
      return marked("$map", all(value as Map<unknown, unknown>));
    case Set.prototype:
      return marked("$set", all(value as Set<unknown>));
    case Uint8Array.prototype:
      return { $bytes: base64Of(value as Uint8Array) };
    default:
      return inexpressible;
  }
}

function writePlain(
  value: Readonly<Record<string, unknown>>,
  all: (values: Iterable<unknown>) => unknown[] | typeof inexpressible,
): unknown {
  const keys = Object.keys(value);
  if (Object.getOwnPropertySymbols(value).length > 0 || keys.includes("__proto__")) {
    return inexpressible;
  }
  const written = all(keys.map((key) => value[key]));
  if (written === inexpressible) return inexpressible;
  const object = Object.fromEntries(keys.map((key, at) => [key, written[at]]));
  return isMark(keys) ? { $object: object } : object;
}

const isMark = (keys: readonly string[]): boolean => keys.length === 1 && keys[0]!.startsWith("$");

type Json = Readonly<Record<string, unknown>>;

function read(json: unknown, at: string): unknown {
  if (typeof json === "number" && !Number.isFinite(json)) {
    throw wrong(at, `a number too large for one; write {"$number":"Infinity"} if that is meant`);
  }
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map((inner, index) => read(inner, `${at}[${index}]`));
  const keys = Object.keys(json);
  if (isMark(keys)) return readMark(keys[0]!, (json as Json)[keys[0]!], at);
  return readPlain(json as Json, at);
}

function readPlain(json: Json, at: string): unknown {
  if (Object.hasOwn(json, "__proto__")) throw wrong(at, `an object with a key "__proto__"`);
  const entries = Object.entries(json);
  return Object.fromEntries(entries.map(([key, value]) => [key, read(value, `${at}.${key}`)]));
}

const numbers = new Map([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0],
]);

function readMark(mark: string, json: unknown, at: string): unknown {
  switch (mark) {
    case "$undefined":
      if (json === true) return undefined;
      break;
    case "$number":
      if (numbers.has(json as string)) return numbers.get(json as string);
      break;
    case "$bigint":
      if (typeof json === "string" && /^-?\d+$/.test(json)) return BigInt(json);
      break;
    case "$date": {
      const date = new Date(typeof json === "string" ? json : NaN);
      if (json === null || !Number.isNaN(date.getTime())) return date;
      break;
    }
    case "$bytes": {
      const bytes = typeof json === "string" ? bytesOf(json) : undefined;
      if (bytes !== undefined) return bytes;
      break;
    }
    case "$set":
      if (Array.isArray(json)) return new Set(read(json, at) as unknown[]);
      break;
    case "$map":
      if (Array.isArray(json) && json.every((pair) => Array.isArray(pair) && pair.length === 2)) {
        return new Map(read(json, at) as [unknown, unknown][]);
      }
      break;
    case "$object":
      if (typeof json === "object" && json !== null && !Array.isArray(json)) {
        return readPlain(json as Json, at);
      }
      break;
    case "$devalue":
      return decodeValue(encoder.encode(JSON.stringify(json)));
    default: {
      const hint = `an object with this one key is written {"$object": {"${mark}": …}}`;
      throw wrong(at, `marked "${mark}", which is no mark; ${hint}`);
    }
  }
  throw wrong(
    at,
    `marked "${mark}", and what follows is none: ${JSON.stringify(json).slice(0, 80)}`,
  );
}

const wrong = (at: string, problem: string): FormatError =>
  new FormatError("content", `The ${at} is ${problem}`);

function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function bytesOf(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
