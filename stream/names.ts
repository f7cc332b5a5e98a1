// What a user may call things. One rule for uids and for the names of jobs, topics, tables and side outputs: they
// become parts of paths, of object names and of URLs, and need no escaping in any of them.

import { GraphError } from "./errors.ts";

// A URL or a path with "." or ".." in it is another one.
const namePattern = /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$/;
export const nameRule =
  '1 to 64 letters, digits, underscores, dots and hyphens, but not "." or ".."';

export const isName = (name: unknown): name is string =>
  typeof name === "string" && namePattern.test(name);

/** The name as it is, or a `GraphError` where it may not be one. */
export function checkedName(
  of: "job" | "topic" | "table" | "set of files" | "side output",
  name: unknown,
): string {
  if (isName(name)) return name;
  throw new GraphError(
    "BAD_NAME",
    `${shown(name)} cannot be the name of a ${of}. Allowed: ${nameRule}.`,
  );
}

/** The uid as it is, or a `GraphError` where it may not be one. `operator` says whose. */
export function checkedUid(operator: string, uid: unknown): string {
  if (isName(uid)) return uid;
  const found = uid === undefined ? "has no uid" : `has the uid ${shown(uid)}`;
  throw new GraphError(
    "BAD_UID",
    `An operator (${operator}) ${found}. Allowed: ${nameRule}. The uid ties an operator to its ` +
      `state; pass { uid: "…" } as the last argument and never change it afterwards.`,
  );
}

/** A value as a message quotes it: short, whatever it is. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (typeof value === "function") return isAsync(value) ? "an async function" : "a function";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return cut(String(value));
}

/** Whether calling it gives a promise: such a function cannot be part of a synchronous operator. */
export const isAsync = (fn: unknown): boolean =>
  Object.prototype.toString.call(fn).startsWith("[object Async");

const cut = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
