// Arbitrary values as bytes: whatever a record or a state holds that has no column of its own.
//
// devalue does the work (Svelte's serialiser; plain ESM, no code generation, so workerd runs it).
// This file closes the gaps that its operations let us close.
//   V1. What is decoded equals what was encoded, exactly: undefined, NaN, -0, bigint, Date (an
//       invalid one too), Map, Set, typed arrays, lone surrogates, cycles and shared references.
//   V2. Keys such as `__proto__` come back as own properties; no prototype is ever changed.
//   V3. What cannot be carried exactly is refused with the path to it, never dropped: functions,
//       symbols, promises, instances of classes (also of subclasses of Map, Date, Array …).
//   V4. A view carries the bytes it shows, not the buffer behind it. Node's Buffer is the one
//       exception to V3: it comes back as the Uint8Array it is.

import {
  defaultStringifyOperations,
  DevalueError,
  parse,
  stringify,
  type ParseOperations,
  type StringifyOperations,
} from "devalue";

import { FormatError } from "./format-error.ts";

/** Thrown by the writers of `format/` for a value no bytes can stand for. The user must act. */
export class ValueNotSerialisableError extends Error {
  /** Where it is, for example `value.items[3].onClick`. */
  readonly path: string;
  /** What is there, for example `a function`. */
  readonly reason: string;

  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(
      `Cannot serialise ${path}: it is ${reason}. Records, keys and state must be plain data: ` +
        `primitives, arrays, plain objects, Map, Set, Date, bigint, typed arrays.`,
      options,
    );
    this.name = "ValueNotSerialisableError";
    this.path = path;
    this.reason = reason;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes of any plain value.
 *
 * @param at what to call the value in an error, for example `column "position"`
 * @throws ValueNotSerialisableError for what cannot be carried exactly
 */
export function encodeValue(value: unknown, at = "value"): Uint8Array {
  try {
    return encoder.encode(stringify(value, undefined, { operations: writing }));
  } catch (error) {
    if (error instanceof DevalueError) {
      throw new ValueNotSerialisableError(at + error.path, describe(error.value), { cause: error });
    }
    if (error instanceof RangeError) {
      throw new ValueNotSerialisableError(at, "nested too deep or too large", { cause: error });
    }
    throw error; // a getter of the user's own threw
  }
}

/** The value `encodeValue` was given. @throws FormatError when the bytes are not its work */
export function decodeValue(bytes: Uint8Array): unknown {
  try {
    return parse(decoder.decode(bytes), undefined, { operations: reading });
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new FormatError(
      "content",
      `Expected an encoded value of ${bytes.length} bytes: ${found}`,
      {
        cause: error,
      },
    );
  }
}

// devalue refuses own keys named `__proto__`, for the sake of readers less careful than ours. They
// travel with a mark in front, and so does every key that already looks like a marked one.
const MARK = "~";
const MARKED = /^~*__proto__$/;

function markKey(key: string): string {
  return MARKED.test(key) ? MARK + key : key;
}

function unmarkKey(key: string): string {
  return key.startsWith(MARK) && MARKED.test(key) ? key.slice(1) : key;
}

const bufferType: unknown = (globalThis as { Buffer?: unknown }).Buffer;

const writing: Partial<StringifyOperations> = {
  // devalue goes by `Symbol.toStringTag`, which a subclass inherits and anyone can set.
  tagOf(value: object) {
    const tag = defaultStringifyOperations.tagOf(value);
    if (tag === "Object") return tag;
    const own: unknown = Object.getPrototypeOf(value)?.constructor;
    const standard: unknown = (globalThis as Record<string, unknown>)[tag];
    const exact = own === standard || own === bufferType || tag.startsWith("Temporal.");
    return exact ? tag : "Object"; // then `shapeOf` refuses it
  },

  shapeOf(value: object) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return { kind: "not-plain" };
    const symbols = Object.getOwnPropertySymbols(value);
    if (symbols.some((key) => Object.prototype.propertyIsEnumerable.call(value, key))) {
      return { kind: "symbol-keys" };
    }
    const keys = Object.keys(value);
    for (let i = 0; i < keys.length; i++) keys[i] = markKey(keys[i]!);
    return { kind: prototype === null ? "null-proto" : "plain", keys };
  },

  get(value: Record<string | number, unknown>, key: string | number) {
    return value[typeof key === "string" ? unmarkKey(key) : key];
  },

  viewInfo(view: ArrayBufferView) {
    const { byteOffset, byteLength, buffer } = view;
    const whole = byteLength === buffer.byteLength;
    const info = defaultStringifyOperations.viewInfo(view);
    if (whole) return info;
    const copy = buffer.slice(byteOffset, byteOffset + byteLength);
    return { ...info, buffer: copy, byteOffset: 0, bufferByteLength: byteLength };
  },
};

const reading: Partial<ParseOperations> = {
  set(target: Record<string | number, unknown>, key: string | number, value: unknown) {
    const name = typeof key === "string" ? unmarkKey(key) : key;
    if (name === "__proto__") {
      const own = { value, enumerable: true, writable: true, configurable: true };
      Object.defineProperty(target, name, own);
    } else {
      target[name] = value;
    }
  },
};

function describe(value: unknown): string {
  switch (typeof value) {
    case "function":
      return value.name === "" ? "a function" : `a function (${value.name})`;
    case "symbol":
      return `a symbol (${String(value.description)})`;
    case "object":
      break;
    default:
      return `a ${typeof value}`;
  }
  const prototype: unknown = value === null ? null : Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) {
    const thenable = typeof (value as { then?: unknown } | null)?.then === "function";
    return thenable ? "an object with a then() method" : "an object with symbols as keys";
  }
  const name = (prototype as { constructor?: { name?: string } }).constructor?.name;
  if (name === "Promise") return "a Promise; await it first";
  return `an instance of class ${name === undefined || name === "" ? "(anonymous)" : name}`;
}
