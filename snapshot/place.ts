// Where a line of an export stands among all lines, which is what two exports are merged by.
//   P1. By operator, state, kind, then key group or subtask, then the key as text. Of one subtask's
//       elements the order is their own.

import { keyText } from "../format/exact-json.ts";
import type { ElementLine, KeyedLine } from "./lines.ts";
import { order } from "./states.ts";

export interface Place {
  readonly operator: string;
  readonly state: string;
  readonly kind: string;
  /** Or subtask. */
  readonly group: number;
  readonly key: string;
}

export const placeOf = (line: KeyedLine | ElementLine, group: number): Place => {
  const { operator, state, kind } = line;
  return line.kind === "keyed"
    ? { operator, state, kind, group, key: keyText(line.key) }
    : { operator, state, kind, group: line.subtask, key: "" };
};

export const comparePlaces = (a: Place, b: Place): number =>
  order(a.operator, b.operator) ||
  order(a.state, b.state) ||
  order(a.kind, b.kind) ||
  a.group - b.group ||
  order(a.key, b.key);
