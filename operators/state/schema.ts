// What an operator says of a state it keeps, and whether what is stored agrees with it.
//   C1. What was stored under another kind or a later version is refused; under an earlier one it is
//       upgraded while it is read, once, and the next snapshot is whole and of today's version.

import { plainSchema, type StoredSchema } from "../../format/segment.ts";
import { StateError } from "../../stream/errors.ts";

/** How the values of a table are to be understood. */
export interface StateSchema<V> {
  readonly stored: StoredSchema;
  /** Whether `upgrade` reads what lower versions stored. */
  readonly migrates: boolean;
  /** A value stored under `from`, which differs from `stored`, as one of today's; undefined where
   * nothing is left of it. */
  upgrade(this: void, value: unknown, from: StoredSchema): V | undefined;
  /** Of states that expire: what of the value still lives, the value itself where all of it does. */
  live?(this: void, value: V): V | undefined;
}

/** Of values that are taken as they were stored. */
export const schemaOf = (stored: StoredSchema = plainSchema): StateSchema<unknown> => ({
  stored,
  migrates: false,
  upgrade: (value) => value,
});

/** Whether values stored under `from` must be upgraded. @throws StateError when they cannot be */
export function mustUpgrade(
  place: { readonly uid: string; readonly state: string },
  from: StoredSchema,
  { stored: to, migrates }: Pick<StateSchema<unknown>, "stored" | "migrates">,
): boolean {
  const { uid, state } = place;
  const who = `State "${state}" of operator "${uid}"`;
  if (from.holds !== to.holds) {
    throw new StateError(
      "STATE_KIND",
      `${who} is stored as ${from.holds} state, and the program declares it as ${to.holds} ` +
        `state. Declare it as it was, or give the new state another name.`,
      uid,
    );
  }
  if (from.version > to.version) {
    throw new StateError(
      "STATE_VERSION",
      `${who} is stored in version ${from.version}, and the program knows version ${to.version}. ` +
        `Deploy the program that wrote it, or a later one.`,
      uid,
    );
  }
  if (from.version < to.version && !migrates) {
    throw new StateError(
      "STATE_VERSION",
      `${who} is stored in version ${from.version}, and the program declares version ` +
        `${to.version} without a way from one to the other. ` +
        `Give its descriptor migrate(old, fromVersion).`,
      uid,
    );
  }
  return from.version !== to.version || from.ttl !== to.ttl;
}
