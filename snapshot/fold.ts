// One key group of a state out of the segments that hold it: a full one and the deltas after it.
//   F1. Of each key the newest entry counts; where that is a tombstone, the key is not there.

import { keyText } from "../format/exact-json.ts";
import { type Key, type KeyId, keyId } from "../format/key.ts";
import type { KeyGroup } from "../format/key-groups.ts";
import type { SegmentEntry } from "../format/segment.ts";
import { order } from "./states.ts";

export interface LiveEntry {
  readonly group: KeyGroup;
  readonly key: Key;
  readonly value: unknown;
}

/** `chain`: the group's entries of each segment, oldest first. */
export function folded(chain: readonly (readonly SegmentEntry[])[]): LiveEntry[] {
  const [only, ...others] = chain;
  if (others.length === 0) return (only ?? []).filter(isLive);
  const entries = new Map<KeyId, SegmentEntry>();
  for (const segment of chain) for (const entry of segment) entries.set(keyId(entry.key), entry);
  return [...entries.values()].filter(isLive);
}

/** The same entries in the order of their keys as texts: that of the export, and of every diff. */
export const inKeyOrder = (entries: readonly LiveEntry[]): LiveEntry[] =>
  entries
    .map((entry) => ({ entry, text: keyText(entry.key) }))
    .sort((a, b) => order(a.text, b.text))
    .map(({ entry }) => entry);

/** What one segment says of a key; undefined: nothing. */
export function entryOf(entries: readonly SegmentEntry[], key: Key): SegmentEntry | undefined {
  const id = keyId(key);
  return entries.find((entry) => Object.is(keyId(entry.key), id));
}

const isLive = (entry: SegmentEntry): entry is SegmentEntry & LiveEntry => "value" in entry;
