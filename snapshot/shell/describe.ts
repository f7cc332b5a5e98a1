// What a snapshot holds, without its values: from the manifest, the fronts of its segments, and the
// sizes of its files.
//   D1. What cannot be read is told beside the rest, and does not keep the rest from being told.

import type { KeyGroup } from "../../format/key-groups.ts";
import { manifestFiles } from "../../format/manifest.ts";
import { plainSchema, type StoredSchema } from "../../format/segment.ts";
import { handlesIn, lengthOf, type Redistribution } from "../../format/state-handle.ts";
import type { KeyedState, OperatorState } from "../states.ts";
import { type SnapshotBucket, SnapshotError } from "./files.ts";
import type { Snapshot } from "./snapshot.ts";

export interface StateDescription {
  readonly kind: "keyed" | "operator";
  readonly uid: string;
  readonly state: string;
  /** Absent where it could not be read. */
  readonly schema?: StoredSchema;
  /** Of a map, each of its entries; of a state without keys, elements. */
  readonly entries: number;
  readonly bytes: number;
  /** Of keyed state: those that hold any, ascending. */
  readonly keyGroups?: readonly KeyGroupDescription[];
  /** Of a state without keys. */
  readonly redistribution?: Redistribution;
}

export interface KeyGroupDescription {
  readonly group: KeyGroup;
  readonly entries: number;
  readonly bytes: number;
}

export interface Description {
  readonly states: readonly StateDescription[];
  /** What keeps it from being whole, one sentence each. */
  readonly problems: readonly string[];
}

/** Files that are asked for at a time; an isolate has six connections. */
const atOnce = 6;

export async function describe(snapshot: Snapshot, bucket: SnapshotBucket): Promise<Description> {
  const problems = await missingFiles(snapshot, bucket);
  const isMissing = problems.length > 0;
  const states: StateDescription[] = [];
  for (const state of snapshot.states) {
    if (state.kind === "operator") {
      states.push(ofOperator(state));
      continue;
    }
    try {
      states.push(await ofKeyed(snapshot, state));
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error;
      // That of a file which is not there has been said.
      if (!isMissing || !/not in the bucket|the file ends/.test(error.message)) {
        problems.push(error.message);
      }
      const { uid, state: name, kind } = state;
      states.push({ kind, uid, state: name, entries: 0, bytes: bytesOf(state) });
    }
  }
  return { states, problems };
}

/** Files that are not there, or end too early. */
async function missingFiles({ manifest }: Snapshot, bucket: SnapshotBucket): Promise<string[]> {
  const needed = new Map<string, number>();
  for (const { state } of manifest.tasks) {
    for (const handle of handlesIn(state)) {
      if (handle.kind !== "file") continue;
      const end = handle.offset + handle.length;
      needed.set(handle.path, Math.max(end, needed.get(handle.path) ?? 0));
    }
  }
  const problems: string[] = [];
  const paths = [...new Set(manifestFiles(manifest))];
  for (let from = 0; from < paths.length; from += atOnce) {
    const some = paths.slice(from, from + atOnce);
    const files = await Promise.all(some.map((path) => bucket.head(path)));
    some.forEach((path, at) => {
      const file = files[at];
      if (!file) problems.push(`State file ${path} is not in the bucket.`);
      else if (file.size < needed.get(path)!) {
        problems.push(
          `State file ${path} ends at byte ${file.size}, and has ${needed.get(path)!}.`,
        );
      }
    });
  }
  return problems;
}

function ofOperator({ uid, state, parts }: OperatorState): StateDescription {
  const { redistribution, schema } = parts[0]!.handle;
  const entries = parts.reduce((sum, { handle }) => sum + handle.elements, 0);
  const bytes = parts.reduce((sum, { handle }) => sum + lengthOf(handle.bytes), 0);
  return { kind: "operator", uid, state, schema, entries, bytes, redistribution };
}

const bytesOf = ({ handles }: KeyedState): number =>
  handles.flatMap(({ segments }) => segments).reduce((sum, each) => sum + lengthOf(each), 0);

async function ofKeyed(snapshot: Snapshot, state: KeyedState): Promise<StateDescription> {
  const groups = new Map<KeyGroup, { group: KeyGroup; entries: number; bytes: number }>();
  const of = (group: KeyGroup) => {
    const known = groups.get(group) ?? { group, entries: 0, bytes: 0 };
    groups.set(group, known);
    return known;
  };
  let schema: StoredSchema = plainSchema;
  let isFolded = false;
  for await (const { reader } of snapshot.fronts(state)) {
    const { header } = reader.index;
    schema = header.schema ?? plainSchema;
    // What continues a delta comes after it.
    if (header.kind === "delta" && !header.continues) isFolded = true;
    for (const { group, rows, length } of reader.index.blocks) {
      const known = of(group);
      known.entries += rows;
      known.bytes += length;
    }
  }
  if (isFolded) {
    // What the deltas change and remove shows in the entries only.
    for (const group of groups.values()) group.entries = 0;
    for await (const { group } of snapshot.entries(state)) of(group).entries++;
  }
  const keyGroups = [...groups.values()].sort((a, b) => a.group - b.group);
  return {
    kind: "keyed",
    uid: state.uid,
    state: state.state,
    schema,
    entries: keyGroups.reduce((sum, { entries }) => sum + entries, 0),
    bytes: bytesOf(state),
    keyGroups,
  };
}
