// One subtask's copy of a map of broadcast state, and what those see of it that may not change it.

import { type Key, type KeyId, keyId } from "../../format/key.ts";
import type { MapState, MapStateDescriptor } from "../../stream/state.ts";
import { elementSchema, type NoteUndo } from "./operator-list.ts";
import type { OperatorState, OperatorStateStore } from "./operator-state.ts";
import type { StateSchema } from "./schema.ts";
import { approximateBytes, entryOverhead } from "./size.ts";

type Entry = readonly [key: Key, value: unknown];

export class BroadcastMap implements MapState<Key, unknown>, OperatorState {
  readonly redistribution = "broadcast";
  readonly schema: StateSchema<unknown>;
  readonly #entries = new Map<KeyId, Entry>();
  #bytes = 0;
  #note: NoteUndo | undefined;

  /** @param note is told before each change how to take it back. */
  constructor(
    place: { readonly uid: string; readonly state: string },
    descriptor: MapStateDescriptor<Key, unknown>,
    store: OperatorStateStore,
    note?: NoteUndo,
  ) {
    this.schema = elementSchema("map", place, descriptor, (element, migrate) => {
      const [key, old] = element as Entry;
      const value = migrate(old);
      return value === undefined ? undefined : [key, value];
    });
    const restored = store.register(place.state, this) as readonly Entry[];
    for (const [key, value] of restored) this.set(key, value);
    this.#note = note;
  }

  get(key: Key): unknown {
    return this.#entries.get(keyId(key))?.[1];
  }

  has(key: Key): boolean {
    return this.#entries.has(keyId(key));
  }

  set(key: Key, value: unknown): void {
    this.delete(key);
    if (value === undefined) return;
    const entry: Entry = [key, value];
    this.#note?.(() => this.delete(key));
    this.#entries.set(keyId(key), entry);
    this.#bytes += sizeOf(entry);
  }

  delete(key: Key): void {
    const id = keyId(key);
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#note?.(() => this.set(...entry));
    this.#entries.delete(id);
    this.#bytes -= sizeOf(entry);
  }

  entries(): [Key, unknown][] {
    return Array.from(this.#entries.values(), ([key, value]) => [key, value]);
  }

  isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  clear(): void {
    for (const [key] of this.entries()) this.delete(key);
  }

  elements(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  bytes(): number {
    return this.#bytes;
  }
}

const sizeOf = ([key, value]: Entry): number =>
  entryOverhead + approximateBytes(key) + approximateBytes(value);

/** The map as `process` sees it. The type has no way to write; this is for what was never compiled. */
export function readOnly(
  map: MapState<Key, unknown>,
  { uid, state }: { readonly uid: string; readonly state: string },
): MapState<Key, unknown> {
  const refuse = (): never => {
    throw new TypeError(
      `Broadcast state "${state}" of operator "${uid}" was to be changed by process, which may only ` +
        `read it: the row that it was called for has reached this subtask alone. Change it in ` +
        `processBroadcast, which every subtask is called with.`,
    );
  };
  return {
    get: (key) => map.get(key),
    has: (key) => map.has(key),
    entries: () => map.entries(),
    isEmpty: () => map.isEmpty(),
    set: refuse,
    delete: refuse,
    clear: refuse,
  };
}
