// Three million real flights through a checkpointed job on a local runtime that is killed on the
// way; then every cell of the job's table is compared with the same table made from the file.
//   X1. The kills fall in mid-stream, with requests on their way, and each recovery has a checkpoint
//       of the killed run to start from.
//   X2. Exit code 0 means: every cell equal, and not one record in the topic too many.

import { once } from "node:events";

import { execute } from "../../local/command-line.ts";
import { LocalJob, type Recovery, type Rescaled } from "../flights/local-job.ts";
import { inOwnDirectory } from "../flights/own-directory.ts";
import { Producer } from "../flights/producer.ts";
import { Progress } from "../flights/progress.ts";
import { until } from "../flights/until.ts";
import { flightBodies } from "./flights.ts";
import { commandOf, type Options, usage } from "./options.ts";
import { delaysByOrigin, differences, flightsIn } from "./reference.ts";
import { page, progressOf, type Result, summary } from "./report.ts";
import { Watch } from "./watch.ts";

const program = "flight-delays";
const topic = "flights";

const rowsPerBodyMax = 5_000;

/** Bodies between two events, at least, and those accepted after the stream's wait, before the event. */
const bodiesPerStretch = 10;
const bodiesBeforeEvent = 3;

/** Milliseconds without a further row counted, after which the table is taken as it is. */
const standstill = 20_000;

interface Run {
  readonly options: Options;
  readonly job: LocalJob;
  readonly progress: Progress;
  readonly watch: Watch;
  readonly producer: Producer;
  readonly signal: AbortSignal;
}

async function measure(run: Run): Promise<Result> {
  const { options, job, producer, watch } = run;
  const { rows } = options;
  const stretches = eventsOf(options).length + 1;
  const rowsPerBody = Math.min(rowsPerBodyMax, Math.ceil(rows / (bodiesPerStretch * stretches)));
  const begunAt = Date.now();
  const [{ recoveries, rescales }] = await Promise.all([
    happenOnTheWay(run, rowsPerBody),
    producer.send(flightBodies(rows, { rowsPerBody })),
  ]);
  const expected = await delaysByOrigin(rows);
  await watch.counts(flightsIn(expected), { standstill, signal: run.signal });
  const seconds = (Date.now() - begunAt) / 1_000;

  const records = await until(() => job.records(topic), { what: "An answer", signal: run.signal });
  const { table, completed, checkpointBytes } = watch;
  return {
    rows,
    seconds,
    checkpointsCompleted: completed,
    checkpointBytes,
    sentBytes: producer.bytes,
    repeated: producer.repeated,
    duplicates: producer.duplicates,
    recoveries,
    rescales,
    table: table.rows,
    differences: [
      ...(records === rows ? [] : [`the topic holds ${records} records, and should hold ${rows}`]),
      ...differences(expected, table.rows),
    ],
  };
}

/** What befalls the job: kills, between the first rescale and the second. */
const eventsOf = ({
  kills,
  rescales: [first, ...others],
}: Options): readonly ("kill" | number)[] => [
  ...(first === undefined ? [] : [first]),
  ...Array.from({ length: kills }, () => "kill" as const),
  ...others,
];

// The stream waits before each event, or a short one would be over before its last. Where a checkpoint
// has completed in the meantime, as in a long stream, that is no time at all.
async function happenOnTheWay(
  run: Run,
  rowsPerBody: number,
): Promise<{ readonly recoveries: readonly Recovery[]; readonly rescales: readonly Rescaled[] }> {
  const { options, job, producer, progress, signal } = run;
  const reached = (rows: number): Promise<true> =>
    until(() => producer.rows >= rows || undefined, {
      what: `Row ${rows}`,
      within: Infinity,
      every: 5,
      signal,
    });
  const events = eventsOf(options);
  const points = events.map((_, at) => Math.floor((options.rows * (at + 1)) / (events.length + 1)));
  const recoveries: Recovery[] = [];
  const rescales: Rescaled[] = [];
  producer.holdAt(points[0] ?? Infinity);
  for (const [at, point] of points.entries()) {
    await reached(point);
    await job.checkpointed();
    producer.holdAt(points[at + 1] ?? Infinity);
    await reached(point + bodiesBeforeEvent * rowsPerBody);
    const event = events[at]!;
    const rows = producer.rows.toLocaleString("en");
    if (event !== "kill") {
      progress.say(`Rescaling to parallelism ${event} after ${rows} rows`);
      rescales.push(await job.rescale(event));
      continue;
    }
    progress.say(`SIGKILL after ${rows} rows`);
    const recovery = await job.crash();
    recoveries.push(recovery);
    progress.say(`Recovered from checkpoint ${recovery.restored} in ${recovery.seconds} s`);
  }
  return { recoveries, rescales };
}

const demo = (options: Options, interrupted: AbortSignal): Promise<boolean> =>
  inOwnDirectory("demo", options, (directory) => demoIn(directory, options, interrupted));

async function demoIn(
  directory: string,
  options: Options,
  interrupted: AbortSignal,
): Promise<boolean> {
  const say = options.json ? console.error : console.log;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, interrupted]);
  const progress = new Progress(options.rows);
  let job: LocalJob | undefined;
  try {
    job = await LocalJob.start({ program, directory, signal });
    const [watch, producer] = [new Watch(), new Producer(job, { topic, signal })];
    const look = (): void => progress.show(producer.rows, progressOf(watch));
    const result = await Promise.race([
      measure({ options, job, progress, watch, producer, signal }),
      watch.follow(job, look, signal),
    ]);
    over.abort();
    progress.close();
    say(page(result));
    if (options.json) console.log(JSON.stringify(summary(result)));
    if (options.keep) await lookAround(job, { say, interrupted });
    return result.differences.length === 0;
  } finally {
    over.abort();
    progress.close();
    await job?.stop().catch(() => undefined);
    if (options.keep) say(`The state is kept in ${directory}`);
  }
}

interface LookAround {
  readonly say: (text: string) => void;
  readonly interrupted: AbortSignal;
}

async function lookAround(
  { url, id, directory }: LocalJob,
  { say, interrupted }: LookAround,
): Promise<void> {
  say(`
The server is up at ${url} until Ctrl-C, with its state in ${directory}

  curl ${url}/jobs/overview
  curl ${url}/jobs/${id}
  curl ${url}/jobs/${id}/checkpoints
  curl ${url}/jobs/${id}/tables/delays-by-origin
  curl ${url}/jobs/${id}/tables/delays-by-origin/ATL
  curl ${url}/topics/flights
`);
  if (!interrupted.aborted) await once(interrupted, "abort");
}

await execute(commandOf(process.argv.slice(2)), { script: "demo", usage, run: demo });
