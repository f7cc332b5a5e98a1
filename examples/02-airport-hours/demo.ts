// Three million real flights through windows by event time on a local runtime that is killed on the
// way; then every window is compared with the same one made by DuckDB from the file.
//   Y1. Reports reach the topic in their order, one request at a time, so DuckDB knows which are late.
//   Y2. The kill falls in mid-stream, with a request on its way, and the recovery has a checkpoint of
//       the killed run to start from.
//   Y3. The job is drained once it has read everything: all windows are told, and it is FINISHED.
//   Y4. Exit code 0 means: every cell equal, every flight in one hour or late, and not one record in the
//       topic too many.

import { fileURLToPath } from "node:url";

import { execute } from "../../local/command-line.ts";
import { LocalJob, type Recovery } from "../flights/local-job.ts";
import { inOwnDirectory } from "../flights/own-directory.ts";
import { Producer } from "../flights/producer.ts";
import { Progress } from "../flights/progress.ts";
import { until } from "../flights/until.ts";
import { comparisons, type Row } from "./comparison.ts";
import { commandOf, type Options, usage } from "./options.ts";
import { reportBodies } from "./reports.ts";
import { isEqual, page, type Result, summary } from "./report.ts";
import { Watch } from "./watch.ts";

const config = fileURLToPath(new URL("wrangler.toml", import.meta.url));
const program = "airport-hours";
const topic = "reports";
const source = "reports";

const rowsPerBodyMax = 5_000;

/** Bodies of a short run, at least, and those accepted after the stream's wait, before the kill. */
const bodiesMin = 20;
const bodiesBeforeKill = 3;

/** Milliseconds until everything that was sent counts as not being read. */
const readWithin = 300_000;

interface Run {
  readonly options: Options;
  readonly directory: string;
  readonly job: LocalJob;
  readonly producer: Producer;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Streams everything, and ends the job; the kill is on the way. */
async function stream(run: Run): Promise<Pick<Result, "seconds" | "recovery">> {
  const { options, job, producer, progress, signal } = run;
  const { rows } = options;
  const rowsPerBody = Math.min(rowsPerBodyMax, Math.ceil(rows / bodiesMin));
  const begunAt = Date.now();
  const [recovery] = await Promise.all([
    killed(run, rowsPerBody),
    producer.send(reportBodies(rows, { rowsPerBody })),
  ]);
  const isRead = async () => ((await job.read(source)) ?? 0) >= rows || undefined;
  await until(isRead, { what: "The end of reading", within: readWithin, signal });
  progress.say("All is read: draining the job");
  await job.drain();
  return { seconds: (Date.now() - begunAt) / 1_000, recovery };
}

// The stream waits before the kill, or a short one would be over before the first checkpoint.
async function killed(run: Run, rowsPerBody: number): Promise<Recovery | undefined> {
  const { options, job, producer, progress, signal } = run;
  const { killAfter } = options;
  if (killAfter === 0) return undefined;
  const sent = (rows: number): Promise<true> =>
    until(() => producer.rows >= Math.min(rows, options.rows) || undefined, {
      what: `Row ${rows}`,
      within: Infinity,
      every: 5,
      signal,
    });
  const before = Math.max(0, killAfter - bodiesBeforeKill * rowsPerBody);
  producer.holdAt(before);
  await sent(before);
  await job.checkpointed();
  producer.holdAt(Infinity);
  await sent(killAfter);
  progress.say(`SIGKILL after ${producer.rows.toLocaleString("en")} rows`);
  const recovery = await job.crash();
  progress.say(`Recovered from checkpoint ${recovery.restored} in ${recovery.seconds} s`);
  return recovery;
}

async function measure(run: Run): Promise<Result> {
  const { options, directory, job, producer, progress, signal } = run;
  const { rows } = options;
  const over = new AbortController();
  const watch = new Watch(job, AbortSignal.any([over.signal, signal]));
  const { seconds, recovery } = await Promise.race([
    stream(run),
    watch.follow(() => progress.show(producer.rows, watch.text)),
  ]).finally(() => over.abort());
  progress.say("Comparing every window with DuckDB's");
  const tables = new Map<string, readonly Row[]>();
  const answer = { what: "An answer", signal };
  const compared = await comparisons(rows, directory, async (name) => {
    const table = await until(() => job.table<Row>(name), answer);
    tables.set(name, table.rows);
    return table.rows;
  });
  const statistics = await until(() => job.checkpoints(), answer);
  const records = await until(() => job.records(topic), answer);
  const late = tables.get("late-flights")!.length;
  const inTime = tables
    .get("airport-hours")!
    .reduce((sum, { flights }) => sum + Number(flights), 0);
  return {
    rows,
    seconds,
    recovery,
    late,
    comparisons: compared,
    checkpointsCompleted: statistics.counts.completed,
    sentBytes: producer.bytes,
    repeated: producer.repeated,
    duplicates: producer.duplicates,
    problems: [
      ...(records === rows ? [] : [`the topic holds ${records} records, and should hold ${rows}`]),
      ...(inTime + late === rows
        ? []
        : [`${inTime} flights are in hours and ${late} are late, which should be ${rows}`]),
    ],
  };
}

const demo = (options: Options, interrupted: AbortSignal): Promise<boolean> =>
  inOwnDirectory(program, {}, async (directory) => {
    const say = options.json ? console.error : console.log;
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, interrupted]);
    const progress = new Progress(options.rows);
    const { parallelism } = options;
    let job: LocalJob | undefined;
    try {
      job = await LocalJob.start({ program, parallelism, config, directory, signal });
      const producer = new Producer(job, { topic, requestsInFlight: 1, signal });
      const result = await measure({ options, directory, job, producer, progress, signal });
      progress.close();
      say(page(result));
      if (options.json) console.log(JSON.stringify(summary(result)));
      return isEqual(result);
    } finally {
      over.abort();
      progress.close();
      await job?.stop().catch(() => undefined);
    }
  });

await execute(commandOf(process.argv.slice(2)), { script: program, usage, run: demo });
