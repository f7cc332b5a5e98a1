// What is in the snapshots that a manifest names, read once: a file is never written twice, and a
// subtask names the same bytes again in checkpoint after checkpoint.
//   T1. What was read before is recognised by the identity of its bytes, never by where it stood.

import { Buffer } from "node:buffer";
import { decodeRows } from "../format/batch.ts";
import { decodeFrames } from "../format/channel-state.ts";
import { decodeFrame } from "../format/frame.ts";
import { keyId, type KeyId } from "../format/key.ts";
import type { KeyGroup } from "../format/key-groups.ts";
import { decodeElements } from "../format/operator-state.ts";
import { readSegment } from "../format/segment.ts";
import type {
  BytesHandle,
  ChannelStateHandle,
  KeyedStateHandle,
  OperatorStateHandle,
  TaskStateHandle,
} from "../format/state-handle.ts";
import { type Held, keyText, type View } from "./views.ts";

/** An entry of a segment; `held` is undefined where it says that the key is gone. */
interface Entry {
  readonly group: KeyGroup;
  readonly id: KeyId;
  readonly key: string;
  readonly held: Held | undefined;
}

export class Snapshots {
  readonly #bytesOf: (path: string) => Uint8Array;
  readonly #view: (state: string) => (value: unknown) => View;
  readonly #inline = new WeakMap<Uint8Array, readonly Entry[]>();
  readonly #files = new Map<string, readonly Entry[]>();
  /** Of each state of each subtask: what it was the last time, and which segments said so. */
  readonly #last = new Map<
    string,
    {
      readonly segments: readonly (readonly Entry[])[];
      readonly state: ReadonlyMap<string, Held>;
    }
  >();

  constructor(options: {
    bytesOf(path: string): Uint8Array;
    view(state: string): (value: unknown) => View;
  }) {
    this.#bytesOf = (path) => options.bytesOf(path);
    this.#view = (state) => options.view(state);
  }

  /** A state of a subtask, by key; `check` sees the group of every entry. */
  state(
    task: string,
    handle: KeyedStateHandle,
    check: (group: KeyGroup) => void,
  ): ReadonlyMap<string, Held> {
    const name = `${handle.uid}/${handle.state}`;
    const segments = handle.segments.map((segment) => this.#entries(segment, name));
    const last = this.#last.get(`${task} ${name}`);
    if (
      last?.segments.length === segments.length &&
      segments.every((entries, at) => entries === last.segments[at])
    ) {
      return last.state;
    }
    const entries = new Map<KeyId, Entry>();
    for (const segment of segments) {
      for (const entry of segment) {
        check(entry.group);
        if (entry.held === undefined) entries.delete(entry.id);
        else entries.set(entry.id, entry);
      }
    }
    const state = new Map<string, Held>();
    for (const { key, held } of entries.values()) state.set(key, held!);
    this.#last.set(`${task} ${name}`, { segments, state });
    return state;
  }

  /** The rows on their way over a channel. */
  rows({ frames }: ChannelStateHandle): unknown[] {
    return decodeFrames(this.#bytes(frames)).flatMap((bytes) => {
      const frame = decodeFrame(bytes);
      return frame.kind === "data" ? decodeRows(frame.rows) : [];
    });
  }

  /** The elements of a state that no key owns. */
  elements({ bytes }: OperatorStateHandle): unknown[] {
    return decodeElements(this.#bytes(bytes));
  }

  #bytes(handle: BytesHandle): Uint8Array {
    if (handle.kind === "inline") return handle.bytes;
    const { path, offset, length } = handle;
    return this.#bytesOf(path).subarray(offset, offset + length);
  }

  #entries(handle: BytesHandle, state: string): readonly Entry[] {
    const place = handle.kind === "file" ? `${handle.path} ${handle.offset}` : undefined;
    const known = handle.kind === "file" ? this.#files.get(place!) : this.#inline.get(handle.bytes);
    if (known !== undefined) return known;
    const view = this.#view(state);
    const entries: Entry[] = [];
    for (const entry of readSegment(this.#bytes(handle)).entries()) {
      const { key, group } = entry;
      const held = "deleted" in entry ? undefined : heldOf(key, entry.value, view);
      entries.push({ group, id: keyId(key), key: keyText(key), held });
    }
    if (handle.kind === "file") this.#files.set(place!, entries);
    else this.#inline.set(handle.bytes, entries);
    return entries;
  }
}

function heldOf(key: Held["key"], value: unknown, view: (value: unknown) => View): Held {
  const { text, weight } = view(value);
  return { key, value, text, weight };
}

/** Whether two snapshots of a subtask name the same, inline bytes byte for byte. */
export function isSame(left: TaskStateHandle, right: TaskStateHandle): boolean {
  return (
    areSame(left.keyed, right.keyed, (one, other) => {
      const { range, segments } = one;
      return (
        one.uid === other.uid &&
        one.state === other.state &&
        range.first === other.range.first &&
        range.last === other.range.last &&
        areSame(segments, other.segments, isSamePlace)
      );
    }) &&
    areSame(left.operator, right.operator, (one, other) => {
      const isNamed = one.uid === other.uid && one.state === other.state;
      return isNamed && isSamePlace(one.bytes, other.bytes);
    }) &&
    areSame(left.channels ?? [], right.channels ?? [], (one, other) => {
      return (
        one.end === other.end &&
        one.edge === other.edge &&
        one.from === other.from &&
        one.to === other.to &&
        isSamePlace(one.frames, other.frames)
      );
    })
  );
}

const areSame = <T>(left: readonly T[], right: readonly T[], is: (l: T, r: T) => boolean) =>
  left.length === right.length && left.every((one, at) => is(one, right[at]!));

function isSamePlace(left: BytesHandle, right: BytesHandle): boolean {
  if (left.kind === "inline")
    return right.kind === "inline" && areSameBytes(left.bytes, right.bytes);
  return (
    right.kind === "file" &&
    left.path === right.path &&
    left.offset === right.offset &&
    left.length === right.length
  );
}

const areSameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left === right || Buffer.compare(left, right) === 0;
