// What a CPU profile says: which functions time is spent in, and at which stage of a row's way. Pure.
//   F2. A request, a timer or a record that comes while a thread has something to do waits for the end of
//       that stretch. Where somebody else has the processor a sample lasts long: it counts as two intervals.
//   F1. A sample counts for the innermost of its frames that belongs to a stage, so what a stage calls
//       (a column's reader, a hash) is part of it.

export interface CallFrame {
  readonly functionName: string;
  /** Relative to the repository; empty for what is not in a file. */
  readonly file: string;
  readonly line: number;
}

export interface ProfileNode {
  readonly id: number;
  readonly frame: CallFrame;
  readonly children: readonly number[];
}

export interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds, one per sample. */
  readonly timeDeltas: readonly number[];
}

/** Microseconds, most first. */
export type Shares = readonly (readonly [name: string, time: number])[];

interface Stage {
  readonly name: string;
  readonly holds: (frame: CallFrame) => boolean;
}

const inFile =
  (...files: readonly string[]) =>
  ({ file }: CallFrame): boolean =>
    files.some((one) => file.startsWith(one));

const named =
  (file: string, ...functions: readonly string[]) =>
  (frame: CallFrame): boolean =>
    frame.file === file && functions.includes(frame.functionName);

// In this order: the first that a frame belongs to.
const stages: readonly Stage[] = [
  {
    name: "parse lines",
    holds: inFile("format/records.ts", "format/json-columns.ts", "format/column-builder.ts"),
  },
  { name: "encode lines", holds: inFile("worker/ingest.ts") },
  { name: "encode", holds: named("format/batch.ts", "encodeRows", "encode") },
  {
    name: "decode",
    holds: named("format/batch.ts", "RecordBatch", "rows", "column", "decodeRows"),
  },
  { name: "make rows", holds: inFile("bench/data.ts", "connectors/generator") },
  { name: "fold", holds: inFile("operators/aggregate.ts") },
  {
    name: "windows",
    holds: inFile("operators/window", "operators/pane", "operators/merging-windows.ts"),
  },
  { name: "table", holds: inFile("operators/table.ts") },
  { name: "keyed state", holds: inFile("operators/state/") },
  {
    name: "checkpoint",
    holds: inFile(
      "task/state-snapshots.ts",
      "format/segment.ts",
      "task/shell/state-files.ts",
      "coordinator/",
    ),
  },
  { name: "partition", holds: inFile("task/partitioner.ts") },
  { name: "outbox", holds: inFile("task/outbox.ts", "task/credit-window.ts", "format/frame.ts") },
  { name: "channels", holds: inFile("task/shell/", "task/inbox.ts", "task/alignment.ts") },
  { name: "topic", holds: inFile("topic/", "connectors/topic-source.ts") },
  { name: "task", holds: inFile("task/") },
  { name: "requests", holds: inFile("worker/", "node_modules/hono") },
  { name: "by hand", holds: inFile("bench/worker/") },
];

/** Not in any function of ours. */
const apart: Readonly<Record<string, string>> = {
  "(idle)": "idle",
  "(garbage collector)": "garbage collection",
  "(program)": "native: transfer, storage, event loop",
};

/** Time in each function itself. */
export function selfTimes(profile: Profile): Shares {
  const frames = new Map(profile.nodes.map(({ id, frame }) => [id, frame]));
  return shares(profile, (id) => {
    const { functionName, file, line } = frames.get(id)!;
    return `${functionName || "(anonymous)"}${file === "" ? "" : ` ${file}:${line}`}`;
  });
}

/** Time in each stage, and in none. */
export const stageTimes = (profile: Profile): Shares => shares(profile, stageNames(profile));

/** The stage of each node. */
function stageNames(profile: Profile): (id: number) => string {
  const parents = new Map(
    profile.nodes.flatMap(({ id, children }) => children.map((child) => [child, id])),
  );
  const frames = new Map(profile.nodes.map(({ id, frame }) => [id, frame]));
  const known = new Map<number, string>();
  // Rows are decoded twice on their way.
  const placeOf = (id: number): string => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const { functionName } = frames.get(at)!;
      if (functionName === "#stepSource") return "at the source";
      if (functionName === "#stepInbox") return "at the receiver";
    }
    return "elsewhere";
  };
  const stageOf = (id: number): string => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const frame = frames.get(id)!;
    const parent = parents.get(id);
    const stage = stages.find(({ holds }) => holds(frame))?.name ?? apart[frame.functionName];
    const name =
      stage === "decode"
        ? `decode ${placeOf(id)}`
        : (stage ?? (parent === undefined ? "other" : stageOf(parent)));
    known.set(id, name);
    return name;
  };
  return stageOf;
}

export interface Stretches {
  /** Microseconds of each time without a pause, longest first. */
  readonly busy: readonly number[];
  /** The same of each run of one stage within them, by its name. */
  readonly stages: Shares;
}

/** How long the thread had something to do without a pause (F2), and what took longest of it. */
export function stretchesOf(profile: Profile, interval: number): Stretches {
  const frames = new Map(profile.nodes.map(({ id, frame }) => [id, frame]));
  const nameOf = stageNames(profile);
  const busy: number[] = [];
  const stages: [string, number][] = [];
  let isBusy = false;
  profile.samples.forEach((id, at) => {
    const took = Math.min(profile.timeDeltas[at]!, 2 * interval);
    if (frames.get(id)!.functionName === "(idle)") {
      isBusy = false;
      return;
    }
    const name = nameOf(id);
    const last = stages.at(-1);
    if (isBusy && last?.[0] === name) last[1] += took;
    else stages.push([name, took]);
    if (isBusy) busy[busy.length - 1]! += took;
    else busy.push(took);
    isBusy = true;
  });
  return {
    busy: busy.toSorted((a, b) => b - a),
    stages: stages.toSorted((a, b) => b[1] - a[1]),
  };
}

function shares({ samples, timeDeltas }: Profile, nameOf: (id: number) => string): Shares {
  const times = new Map<string, number>();
  samples.forEach((id, at) => {
    const name = nameOf(id);
    times.set(name, (times.get(name) ?? 0) + timeDeltas[at]!);
  });
  return [...times].toSorted((a, b) => b[1] - a[1]);
}
