// Keys: what a keyed stream is partitioned by, what state is found by.
//
// A key has two canonical forms: an id, by which a `Map` in memory finds it, and bytes, which are
// hashed to a key group. Two keys are the same key exactly when either form is equal.
//   K1. `keyId(a) === keyId(b)` (in a Map's sense) exactly when `keyBytes` of both are equal.
//   K2. -0 is 0, and every NaN is one NaN. 1, 1n, "1" and true are four different keys.
//   K3. No tuple's id is ever the id of a string: ids of tuples start with `ESCAPE`, and a string
//       that starts with `ESCAPE` is escaped itself.
//   K4. The bytes never change: they decide where state is stored (see murmur3.ts, M1).

import { FormatError } from "./format-error.ts";

/** A value records may be keyed by. A tuple keys by several fields at once. */
export type Key = string | number | bigint | boolean | readonly Key[];

/** How a `Map` finds a key: keys are compared by content, tuples included. */
export type KeyId = string | number | bigint | boolean;

/** Deepest nesting of tuples, in levels. Also what stops a tuple that contains itself. */
export const keyDepthMax = 16;

const ESCAPE = "\u0000";
const ESCAPED_STRING = `${ESCAPE}s`;
const ESCAPED_TUPLE = `${ESCAPE}t`;

/** First byte of a key's bytes. Part of the stored format: never renumber. */
export const keyTag = {
  utf8: 1,
  utf16: 2,
  number: 3,
  bigint: 4,
  boolean: 5,
  tuple: 6,
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether a value may be a key. For a message that says why not, ask `keyProblem`. */
export function isKey(value: unknown): value is Key {
  return keyProblem(value) === undefined;
}

/**
 * Why a value cannot be a key, as the end of a sentence that begins "The key …", or `undefined`
 * when it can.
 *
 * @example keyProblem(["a", null]) // "is a tuple whose element 1 is null"
 */
export function keyProblem(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return undefined;
    case "undefined":
      return "is undefined; does the key selector return a value for every record?";
    case "function":
      return "is a function; call it to get the key";
    case "symbol":
      return "is a symbol, which has no stable bytes";
    case "object":
      break;
  }
  if (value === null) return "is null; give such records a key of their own, or filter them out";
  if (Array.isArray(value)) return tupleProblem(value, depth);
  if (value instanceof Date) return "is a Date; use its getTime() or toISOString()";
  return "is an object; use one of its fields, or a tuple of several: [a, b]";
}

function tupleProblem(tuple: readonly unknown[], depth: number): string | undefined {
  if (depth >= keyDepthMax) return `is a tuple nested more than ${keyDepthMax} levels deep`;
  for (let i = 0; i < tuple.length; i++) {
    const problem = keyProblem(tuple[i], depth + 1);
    if (problem !== undefined) return `is a tuple whose element ${i} ${problem}`;
  }
  return undefined;
}

/** The identity to use as a `Map` key: the primitive itself, or for a tuple a canonical string. */
export function keyId(key: Key): KeyId {
  switch (typeof key) {
    case "string":
      return key.charCodeAt(0) === 0 ? ESCAPED_STRING + key : key;
    case "number":
      return key === 0 ? 0 : key;
    case "bigint":
    case "boolean":
      return key;
    default:
      return ESCAPED_TUPLE + tupleText(key, 0);
  }
}

/** An order of all keys, by their ids: by type, and among those of one type as `<` has them, NaN first. */
export function comesBefore(left: KeyId, right: KeyId): boolean {
  if (typeof left !== typeof right) return typeof left < typeof right;
  if (left !== left) return right === right;
  return left < right;
}

// Every element is self-delimiting (a length, or an end mark that cannot occur inside), so two
// different tuples can never run together into the same text.
function tupleText(tuple: readonly Key[], depth: number): string {
  if (!Array.isArray(tuple) || depth >= keyDepthMax) throw notAKey(tuple);
  let text = "[";
  for (const element of tuple as readonly Key[]) {
    switch (typeof element) {
      case "string":
        text += `s${element.length}:${element}`;
        break;
      case "number":
        text += `n${element === 0 ? 0 : element};`;
        break;
      case "bigint":
        text += `i${element};`;
        break;
      case "boolean":
        text += element ? "t" : "f";
        break;
      default:
        text += tupleText(element, depth + 1);
    }
  }
  return `${text}]`;
}

/** The canonical bytes of a key: a tag, then the payload. These are what is hashed. */
export function keyBytes(key: Key): Uint8Array {
  return bytesAt(key, 0);
}

function bytesAt(key: Key, depth: number): Uint8Array {
  switch (typeof key) {
    case "string": {
      const bytes = asciiBytes(key);
      if (bytes !== undefined) return bytes;
      // UTF-8 has no bytes for a lone surrogate: encoding would turn all of them into U+FFFD, and
      // different keys into one.
      return key.isWellFormed() ? tagged(keyTag.utf8, encoder.encode(key)) : utf16(key);
    }
    case "number": {
      const bytes = new Uint8Array(9);
      bytes[0] = keyTag.number;
      const canonical = key === 0 ? 0 : Number.isNaN(key) ? NaN : key;
      new DataView(bytes.buffer).setFloat64(1, canonical, true);
      // The standard leaves the bits of a stored NaN open, so they are written here.
      if (Number.isNaN(key)) bytes.set([0, 0, 0, 0, 0, 0, 0xf8, 0x7f], 1);
      return bytes;
    }
    case "bigint":
      return tagged(keyTag.bigint, encoder.encode(key.toString()));
    case "boolean":
      return new Uint8Array([keyTag.boolean, key ? 1 : 0]);
    default:
      return tuple(key, depth);
  }
}

/** Longer texts are the encoder's: it costs as much as this many letters. */
const asciiMax = 64;

/** The bytes of a short text of ASCII, which most keys are. */
function asciiBytes(key: string): Uint8Array | undefined {
  const { length } = key;
  if (length > asciiMax) return undefined;
  const bytes = new Uint8Array(1 + length);
  bytes[0] = keyTag.utf8;
  for (let i = 0; i < length; i++) {
    const unit = key.charCodeAt(i);
    if (unit >= 0x80) return undefined;
    bytes[i + 1] = unit;
  }
  return bytes;
}

function tuple(key: readonly Key[], depth: number): Uint8Array {
  if (!Array.isArray(key) || depth >= keyDepthMax) throw notAKey(key);
  const elements = (key as readonly Key[]).map((element) => bytesAt(element, depth + 1));
  const size = elements.reduce((sum, element) => sum + 4 + element.length, 1);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes[0] = keyTag.tuple;
  let at = 1;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
  }
  return bytes;
}

function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * text.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = keyTag.utf16;
  for (let i = 0; i < text.length; i++) view.setUint16(1 + 2 * i, text.charCodeAt(i), true);
  return bytes;
}

function tagged(tag: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = tag;
  bytes.set(payload, 1);
  return bytes;
}

/** The key that `keyBytes` was given, -0 as 0. @throws FormatError when the bytes are not its work */
export function keyOfBytes(bytes: Uint8Array): Key {
  const payload = bytes.subarray(1);
  switch (bytes[0]) {
    case keyTag.utf8:
      return decoder.decode(payload);
    case keyTag.utf16: {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      let text = "";
      for (let at = 0; at + 1 < payload.length; at += 2) {
        text += String.fromCharCode(view.getUint16(at, true));
      }
      return text;
    }
    case keyTag.number:
      return new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0, true);
    case keyTag.bigint:
      return BigInt(decoder.decode(payload));
    case keyTag.boolean:
      return payload[0] === 1;
    case keyTag.tuple:
      return elementsOf(payload).map(keyOfBytes);
    default:
      throw new FormatError("content", `Expected the bytes of a key, found tag ${bytes[0]}`);
  }
}

function elementsOf(payload: Uint8Array): Uint8Array[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const elements: Uint8Array[] = [];
  for (let at = 0; at < payload.length;) {
    const length = view.getUint32(at, true);
    elements.push(payload.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return elements;
}

/** What the bytes of every pair begin with whose first half is `first`, and of no other key. */
export function pairPrefix(first: Key): Uint8Array {
  // A one-tuple's bytes are exactly that: tag, size of the first element, the element.
  return keyBytes([first]);
}

function notAKey(value: unknown): TypeError {
  return new TypeError(`The key ${keyProblem(value) ?? "is nested too deep"}`);
}
