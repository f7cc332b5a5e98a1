// A list of a subtask, as a process function without keys sees it.
//   P1. What was handed out is never changed: the function may have emitted it, and rows are encoded
//       later.

import { UserCodeError } from "../../stream/errors.ts";
import type { OperatorStateDescriptor } from "../../stream/operator-state.ts";
import type { ListState } from "../../stream/state.ts";
import type { OperatorState, OperatorStateStore } from "./operator-state.ts";
import type { StateSchema } from "./schema.ts";
import { approximateBytes } from "./size.ts";

/** Bytes of an element beside its value. */
const elementOverhead = 8;

export class OperatorList implements ListState<unknown>, OperatorState {
  readonly redistribution: OperatorState["redistribution"];
  readonly schema: StateSchema<unknown>;
  #elements: unknown[];
  /** Whether the function has seen the list: an addition then makes a new one (P1). */
  #isShown = false;
  #bytes = 0;
  #note: NoteUndo | undefined;

  /** @param note is told before each change how to take it back. */
  constructor(
    place: { readonly uid: string; readonly state: string },
    descriptor: OperatorStateDescriptor,
    store: OperatorStateStore,
    note?: NoteUndo,
  ) {
    this.redistribution = descriptor.kind === "list" ? "split" : "union";
    this.schema = elementSchema("list", place, descriptor, (element, migrate) => migrate(element));
    this.#elements = [];
    this.update(store.register(place.state, this));
    this.#note = note;
  }

  get(): readonly unknown[] {
    this.#isShown = true;
    return this.#elements;
  }

  add(...values: readonly unknown[]): void {
    if (values.length === 0) return;
    this.#changing();
    if (this.#isShown) this.#elements = [...this.#elements];
    this.#isShown = false;
    for (const value of values) {
      this.#elements.push(value);
      this.#bytes += elementOverhead + approximateBytes(value);
    }
  }

  update(values: readonly unknown[]): void {
    this.clear();
    // One by one: a restored list may have more elements than a call has room for.
    for (const value of values) this.add(value);
  }

  clear(): void {
    this.#changing();
    this.#elements = [];
    this.#isShown = false;
    this.#bytes = 0;
  }

  elements(): readonly unknown[] {
    return this.#elements;
  }

  bytes(): number {
    return this.#bytes;
  }

  #changing(): void {
    const elements = this.#elements;
    const { length } = elements;
    const isShown = this.#isShown;
    const bytes = this.#bytes;
    this.#note?.(() => {
      elements.length = length;
      this.#elements = elements;
      this.#isShown = isShown;
      this.#bytes = bytes;
    });
  }
}

/** Takes note of how a change is taken back, should the row that made it be left out. */
export type NoteUndo = (undo: () => void) => void;

/** The schema of a state whose elements are migrated one by one. */
export function elementSchema(
  holds: "list" | "map",
  { uid, state }: { readonly uid: string; readonly state: string },
  { version, migrate }: Pick<OperatorStateDescriptor, "version" | "migrate">,
  upgrade: (element: unknown, migrated: (value: unknown) => unknown) => unknown,
): StateSchema<unknown> {
  return {
    stored: { holds, version, ttl: false },
    migrates: migrate !== undefined,
    upgrade: (element, from) =>
      upgrade(element, (value) => {
        try {
          return migrate?.(value, from.version);
        } catch (error) {
          throw new UserCodeError(uid, `migrate of state "${state}"`, undefined, error);
        }
      }),
  };
}
