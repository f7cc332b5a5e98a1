// A snapshot as lines (lines.ts), one at a time.

import { elementLine, endLine, headerLine, headerOf, keyedLine } from "../lines.ts";
import type { Snapshot } from "./snapshot.ts";

/** What `JSON.stringify` makes a line of each, in order. @throws SnapshotError in the midst of it */
export async function* exported(snapshot: Snapshot): AsyncGenerator<object> {
  yield headerLine(headerOf(snapshot.manifest));
  for (const state of snapshot.states) {
    const { uid, state: name } = state;
    if (state.kind === "keyed") {
      for await (const entry of snapshot.entries(state)) yield keyedLine(uid, name, entry);
      continue;
    }
    for (const [subtask, handles] of Map.groupBy(state.parts, (part) => part.subtask)) {
      let element = 0;
      for (const { handle } of handles) {
        const { redistribution, schema } = handle;
        for (const value of await snapshot.elements(handle)) {
          const of = { operator: uid, state: name, redistribution, schema, subtask };
          yield elementLine({ ...of, element: element++, value });
        }
      }
    }
  }
  yield endLine;
}
